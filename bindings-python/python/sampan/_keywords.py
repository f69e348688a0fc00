"""The keywords of a run, for type checkers; nothing here is needed at run time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

from . import _types

_Path = Union[str, "os.PathLike[str]"]


class RunKeywords(_types.RunKeywords, total=False):
    """What `docker run` takes, and three words that are only ours.

    Attributes:
        volumes: `{"/host": "/container"}`, `{"/host": "/container:ro"}` or `["source:target:ro"]`;
            a bare word names a volume of the store.
        tmpfs: `["/tmp"]` or `{"/tmp": "size=64m"}`.
        ports: Refused: the networks of this version are none and host.
    """

    volumes: Union[Mapping[Any, Any], Iterable[_Path], None]
    tmpfs: Union[Mapping[str, str], Iterable[_Path], None]
    ports: Optional[object]
