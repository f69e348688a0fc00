"""What calls return that is not a handle."""

from __future__ import annotations

from ._exceptions import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Union

    from . import _types


class ExitStatus:
    """How a container's process ended."""

    __slots__ = ("code", "error", "finished_at", "oom_killed", "signal")

    code: int
    """Its exit code; 128+n when signal n ended it."""
    signal: int | None
    """The signal that ended it."""
    oom_killed: bool
    """The kernel killed it, or a process that it started, for want of memory."""
    finished_at: str
    """When it ended."""
    error: str | None
    """A sentence on what the code does not tell: that memory ran out and by which limit, that its log is incomplete."""

    def __init__(self, fields: _types.ExitStatus) -> None:
        for name in self.__slots__:
            setattr(self, name, fields.get(name))

    def __int__(self) -> int:
        return self.code

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.code == other
        return isinstance(other, ExitStatus) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    def __hash__(self) -> int:
        return hash(self.code)

    def __repr__(self) -> str:
        more = f", signal={self.signal}" if self.signal else ""
        return f"ExitStatus(code={self.code}{more}{', oom_killed=True' if self.oom_killed else ''})"


class _AnyOutput:
    def __init__(self, fields: _types.Output) -> None:
        self.id = fields["id"]
        self.exit = ExitStatus(fields["exit"])
        self.stdout_bytes = fields["stdout"]
        self.stderr_bytes = fields["stderr"]

    @property
    def exit_code(self) -> int:
        """The exit code; 128+n when signal n ended the command."""
        return self.exit.code

    returncode = exit_code

    def __repr__(self) -> str:
        out, err = len(self.stdout_bytes), len(self.stderr_bytes)
        return f"<{type(self).__name__} exit_code={self.exit_code} stdout={out} bytes stderr={err} bytes>"


class Output(_AnyOutput):
    """What a container wrote and how it ended; `str(output)` is its standard output."""

    @property
    def stdout(self) -> str:
        """All of its standard output, read as UTF-8."""
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """All of its standard error, read as UTF-8."""
        return self.stderr_bytes.decode("utf-8", "replace")

    def __str__(self) -> str:
        return self.stdout

    def check_returncode(self) -> None:
        """Raises `ExitError` unless the exit code is 0."""
        check(self)


class BytesOutput(_AnyOutput):
    """The same as bytes, of `text=False`."""

    @property
    def stdout(self) -> bytes:
        """All of its standard output."""
        return self.stdout_bytes

    @property
    def stderr(self) -> bytes:
        """All of its standard error."""
        return self.stderr_bytes

    def __bytes__(self) -> bytes:
        return self.stdout_bytes

    def check_returncode(self) -> None:
        """Raises `ExitError` unless the exit code is 0."""
        check(self)


class ExitError(Error):
    """A command ended with another exit code than 0, and `check=True` was asked for."""

    output: Union[Output, BytesOutput]
    """What it wrote and how it ended."""


def check(output: Output | BytesOutput) -> None:
    """Raises `ExitError` unless the exit code is 0."""
    if output.exit_code == 0:
        return
    said = output.stderr_bytes.decode("utf-8", "replace").strip().splitlines()
    text = f"run container {output.id[:12]}: the command exited with {output.exit_code}"
    if output.exit.oom_killed and output.exit.error:
        said = [output.exit.error]
    error = ExitError(
        text + (f": {said[-1]}" if said else ""),
        operation="run container",
        subject=output.id[:12],
        exit_code=output.exit_code,
    )
    error.output = output
    raise error


class LogEntry:
    """One line of a log, or a part of one."""

    __slots__ = ("data", "stream", "time")

    def __init__(self, time: str, stream: str, data: bytes) -> None:
        self.time = time
        self.stream = stream
        self.data = data

    @property
    def text(self) -> str:
        """The bytes read as UTF-8."""
        return self.data.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"LogEntry({self.time!r}, {self.stream!r}, {self.data!r})"
