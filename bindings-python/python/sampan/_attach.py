"""A running container's streams, joined."""

from __future__ import annotations

from ._exec import _close, _reader, _writer
from ._results import ExitStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Optional

    from . import _sampan
    from ._sampan import Cancel


class Attachment:
    """The streams of a running container from some moment on, joined by `Container.attach`.

    The container waits for one that reads slowly; one that reads nothing for a second is let go, and `wait` tells.
    At the end of a `with` the streams are closed, and the container goes on.
    """

    def __init__(self, native: _sampan.Attachment, text: bool) -> None:
        self._native = native
        stdin, stdout, stderr = native.take()
        self.stdin: Optional[IO[Any]] = None if stdin is None else _writer(stdin, text)
        """Where the container's input is written to, when it was joined; closing it is no end of the input.

        Text is sent line by line, bytes with `flush()`.
        """
        self.stdout: Optional[IO[Any]] = None if stdout is None else _reader(stdout, text, _nothing)
        """Where its output is read from: a file, an iterator of lines."""
        self.stderr: Optional[IO[Any]] = None if stderr is None else _reader(stderr, text, _nothing)
        """Where its errors are read from; with a terminal, they come with the output."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                _hold(stream, native)

    def wait(self, timeout: float | None = None, *, cancel: Cancel | None = None) -> ExitStatus:
        """Waits until the container has ended and all its output lies in the streams, at most `timeout` seconds."""
        return ExitStatus(self._native.wait(timeout, cancel))

    def resize(self, height: int, width: int) -> None:
        """Sets the size of the container's terminal."""
        self._native.resize(height, width)

    def close(self) -> None:
        """Leaves: closes the streams. The container goes on."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                _close(stream)

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<Attachment>"


def _nothing() -> None:
    """The shim sees for itself when a stream is closed."""


def _hold(stream: Any, native: _sampan.Attachment) -> None:
    """Whoever has a stream alone is joined all the same: it has what ends the joining with its own end."""
    getattr(stream, "buffer", stream).raw.joined = native
