"""The keywords of calls that have many, for type checkers; nothing here is needed at run time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Optional, TypedDict, Union

from . import _types

_Path = Union[str, "os.PathLike[str]"]
_Moment = Union[str, int, float, datetime, timedelta, None]


class RunKeywords(_types.RunKeywords, total=False):
    """What `docker run` takes, and three words that are only ours.

    Attributes:
        volumes: `{"/host": "/container"}`, `{"/host": "/container:ro"}` or `["source:target:ro"]`;
            a bare word names a volume of the store. One text or path is a list of itself.
        tmpfs: `["/tmp"]`, `"/tmp"` or `{"/tmp": "size=64m"}`.
        ports: Refused: the networks of this version are none and host.
    """

    volumes: Union[Mapping[Any, Any], Iterable[_Path], None]
    tmpfs: Union[Mapping[str, str], Iterable[_Path], None]
    ports: Optional[object]


class LogKeywords(TypedDict, total=False):
    """What to read of a log."""

    follow: bool
    stdout: bool
    stderr: bool
    since: _Moment
    until: _Moment
    tail: Union[int, str, None]


class _CommandKeywords(TypedDict, total=False):
    env: Union[Mapping[str, object], Iterable[str], None]
    user: Union[str, int, None]
    workdir: Optional[_Path]
    tty: bool
    privileged: bool
    timeout: Optional[float]


class ExecKeywords(_CommandKeywords, total=False):
    """A command that is run to its end."""

    stdin: Union[bytes, str, None]
    check: bool


class ExecStartKeywords(_CommandKeywords, total=False):
    """A command that runs meanwhile."""

    interactive: bool
    rows: Optional[int]
    columns: Optional[int]
    detach: bool
