"""From what is handy in Python to the fields that the engine takes."""

from __future__ import annotations

import os

from ._exceptions import InvalidArgumentError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Union

    Path = Union[str, "os.PathLike[str]"]
    Size = Union[int, str]
    Command = Union[str, Iterable[Union[str, "os.PathLike[str]"]], None]

_SIZES = ("memory", "memory_swap", "memory_reservation", "shm_size")
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def invalid(subject: str, message: str, hint: str | None = None) -> InvalidArgumentError:
    """The error for a value that makes no sense."""
    text = f"read option {subject}: {message}" + (f"; {hint}" if hint else "")
    return InvalidArgumentError(text, operation="read option", subject=subject, hint=hint)


def run_options(image: object, command: Command, options: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a run. `volumes`, `tmpfs` and `ports` are words of ours on top of it."""
    fields = {name: value for name, value in options.items() if value is not None}
    _refuse_ports(fields.pop("ports", None))
    mounts = _mounts(fields.pop("mounts", ()))
    mounts += _volumes(fields.pop("volumes", None) or ()) + _tmpfs(fields.pop("tmpfs", None) or ())
    for name in _SIZES:
        if name in fields:
            fields[name] = size(name, fields[name])
    if "env" in fields:
        fields["env"] = _env(fields["env"])
    if "entrypoint" in fields:
        fields["entrypoint"] = words(fields["entrypoint"])
    if "labels" in fields:
        fields["labels"] = _labels(fields["labels"])
    if "user" in fields:
        fields["user"] = _user(fields["user"])
    if "stdin" in fields:
        fields["stdin"] = input_bytes("stdin", fields["stdin"], "the file to spawn(stdin=...)")
    fields.update(image=_image(image), command=words(command), mounts=mounts)
    return fields


def exec_options(
    command: Command,
    env: Any,
    user: str | int | None,
    workdir: Path | None,
    stdin: bytes | str | None,
    tty: bool,
    privileged: bool,
    timeout: float | None,
) -> dict[str, Any]:
    """The record of a command in a running container."""
    return {
        "command": words(command),
        "env": None if env is None else _env(env),
        "user": _user(user),
        "workdir": None if workdir is None else os.fspath(workdir),
        "stdin": None if stdin is None else input_bytes("stdin", stdin, "use exec_start(interactive=True)"),
        "tty": tty,
        "privileged": privileged,
        "timeout": timeout,
    }


def refuse_to_wait(text: bool, input: object, check: bool, timeout: float | None) -> None:
    """Words for a run that is waited for, given with `detach`, which waits for none."""
    asked = {
        "input": (input is not None, "use spawn(stdin=...) with a file"),
        "timeout": (timeout is not None, "use the container's wait(timeout=...)"),
        "check": (check, "look at the code of the container's wait()"),
        "text": (not text, "use the container's logs(text=False)"),
    }
    for name, (given, cure) in asked.items():
        if given:
            raise invalid(name, "it is for a run that is waited for, and with detach=True none is", cure)


def update_options(sizes: Mapping[str, Size | None], rest: Mapping[str, Any]) -> dict[str, Any]:
    """The record of limits to change."""
    return {**{name: None if given is None else size(name, given) for name, given in sizes.items()}, **rest}


def signal_word(signal: str | int | None) -> str | None:
    """A signal by name or number as a word."""
    # An IntEnum such as signal.SIGHUP prints its name in some versions and its number in others.
    return str(int(signal)) if isinstance(signal, int) else signal


def words(command: Command) -> list[str]:
    """A command as words; a string is split as a shell would, without running one."""
    if command is None:
        return []
    if isinstance(command, str):
        import shlex

        return shlex.split(command)
    return [path_text("command", word) for word in each("command", command)]


def path_text(name: str, given: Any) -> str:
    """A text, or a path as one."""
    text = os.fspath(given) if hasattr(given, "__fspath__") else given
    if not isinstance(text, str):
        raise invalid(name, f"{given!r} is no text")
    return text


def input_bytes(name: str, given: Any, cure: str) -> bytes:
    """What is to be written to a standard input; `cure` is for who has no such thing."""
    if isinstance(given, str):
        return given.encode()
    try:
        return bytes(memoryview(given))
    except TypeError:
        hint = f"give what is in a file, or {cure}"
        raise invalid(name, f"{type(given).__name__} is neither text nor bytes", hint) from None


def seconds(timeout: Any) -> float | None:
    """A time limit, if there is one."""
    if timeout is None or (isinstance(timeout, (int, float)) and timeout >= 0):
        return timeout
    raise invalid("timeout", f"{timeout!r} is no time", "give seconds as a number")


def size(name: str, value: Size) -> int:
    """Bytes from `67108864`, `"64m"` or `"64MiB"`."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    number = text.rstrip("bkmgti")
    unit = text[len(number) :]
    for ending in ("ib", "b"):
        if len(unit) > len(ending) and unit.endswith(ending):
            unit = unit[: -len(ending)]
    try:
        return int(float(number) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        raise invalid(name, f"{value!r} is not a size", "write bytes as a number, or 512k, 64m, 2g") from None


def streams(stdin: object, stdout: object, stderr: object) -> dict[str, int]:
    """File objects or descriptors as descriptors; what Python holds in its buffers goes out first."""
    given = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    return {name: _descriptor(name, stream) for name, stream in given.items() if stream is not None}


def _descriptor(name: str, stream: Any) -> int:
    if isinstance(stream, int):
        return stream
    if not hasattr(stream, "fileno"):
        raise invalid(name, f"{type(stream).__name__} has no file descriptor", "give a file or a descriptor")
    if name != "stdin" and hasattr(stream, "flush"):
        stream.flush()
    number: int = stream.fileno()
    return number


def _image(image: Any) -> str:
    name = image if isinstance(image, str) else getattr(image, "id", None)
    if not isinstance(name, str):
        raise invalid("image", f"{image!r} is none", "give its reference or id, or an Image")
    return name


def _refuse_ports(ports: object) -> None:
    if ports:
        hint = "use network='host', where a port of the container is one of the machine"
        text = f"publish ports: the networks of this version are none and host; {hint}"
        raise UnsupportedError(text, operation="publish ports", subject="ports", hint=hint)


def _user(user: object) -> Any:
    # A number is a user too; what is neither is refused, by its name, where the record is read.
    return str(user) if isinstance(user, int) and not isinstance(user, bool) else user


def each(name: str, given: Any) -> list[Any]:
    """The items of a list; one text or path is a list of itself."""
    if isinstance(given, (str, os.PathLike)):
        return [given]
    try:
        return list(given)
    except TypeError:
        raise invalid(name, f"a list or a dict is wanted, not {given!r}") from None


def _texts(name: str, given: Any) -> list[str]:
    return [path_text(name, text) for text in each(name, given)]


def _env(env: Any) -> dict[str, str]:
    if hasattr(env, "items"):
        return {str(key): str(value) for key, value in env.items() if value is not None}
    pairs = (item.partition("=") for item in _texts("env", env))
    # As on Docker's command line, a bare name takes our own value, and is left out where there is none.
    given = {key: value if found else os.environ.get(key) for key, found, value in pairs}
    return {key: value for key, value in given.items() if value is not None}


def _labels(labels: Any) -> Any:
    if hasattr(labels, "items"):
        return labels
    pairs = (item.partition("=") for item in _texts("labels", labels))
    return {key: value for key, _, value in pairs}


def _mounts(mounts: Any) -> list[dict[str, Any]]:
    listed = each("mounts", [mounts] if hasattr(mounts, "items") else mounts)
    for mount in listed:
        if not hasattr(mount, "items"):
            raise invalid("mounts", f"{mount!r} is no mount", "write {'kind': 'bind', 'source': ..., 'target': ...}")
    return [dict(mount) for mount in listed]


def _volumes(volumes: Any) -> list[dict[str, Any]]:
    if hasattr(volumes, "items"):
        return [_volume_of(source, target) for source, target in volumes.items()]
    return [_volume_from_text(text) for text in _texts("volumes", volumes)]


def _volume_of(source: Path, target: Any) -> dict[str, Any]:
    if hasattr(target, "items"):
        return _volume_from_words(source, target)
    path, *mode = str(target).split(":")
    if target is None or not path or len(mode) > 1:
        raise invalid("volumes", f"{target!r} is no place for {source!r}", "write {source: '/target'} or '/target:ro'")
    return _volume(source, path, "".join(mode))


def _volume_from_words(source: Path, words: Mapping[str, Any]) -> dict[str, Any]:
    if not words.get("bind") or words.keys() - {"bind", "mode"}:
        hint = "write {source: {'bind': '/target', 'mode': 'ro'}}"
        raise invalid("volumes", f"{dict(words)!r} of {source!r} is no volume", hint)
    return _volume(source, words["bind"], str(words.get("mode") or ""))


def _volume_from_text(text: str) -> dict[str, Any]:
    parts = text.split(":")
    if len(parts) == 1:
        return {"kind": "volume", "target": text}
    if len(parts) > 3 or not parts[0]:
        raise invalid("volumes", f"{text!r} is not a volume", "write source:target or source:target:ro")
    return _volume(parts[0], parts[1], parts[2] if len(parts) == 3 else "")


def _volume(source: Path, target: Path, mode: str) -> dict[str, Any]:
    path = path_text("volumes", source)
    # A bare word names a volume, whatever lies in the working directory; a Path is always a path.
    bind = not isinstance(source, str) or path.startswith(("/", ".", "~"))
    options = [word for word in mode.split(",") if word and word not in ("rw", "ro")]
    return {
        "kind": "bind" if bind else "volume",
        "source": os.path.abspath(os.path.expanduser(path)) if bind else path,
        "target": path_text("volumes", target),
        "read_only": "ro" in mode.split(","),
        "options": options,
    }


def _tmpfs(tmpfs: Any) -> list[dict[str, Any]]:
    if not hasattr(tmpfs, "items"):
        tmpfs = dict.fromkeys(_texts("tmpfs", tmpfs), "")
    return [_tmpfs_of(path_text("tmpfs", target), options) for target, options in tmpfs.items()]


def _tmpfs_of(target: str, options: Any) -> dict[str, Any]:
    listed = path_text("tmpfs", options or "").split(",")
    return {"kind": "tmpfs", "target": target, "options": [option for option in listed if option]}
