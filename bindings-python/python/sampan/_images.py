"""Images: `engine.images`."""

from __future__ import annotations

from . import _html
from ._progress import choose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._engine import Engine
    from ._progress import Progress
    from ._sampan import Cancel
    from ._types import ImageInfo, RemovedImage

    # Below, `list` is a method.
    Removed = list[RemovedImage]


class Image:
    """An image of the store, as it was when it was asked for; `reload()` asks again."""

    def __init__(self, engine: Engine, attrs: ImageInfo) -> None:
        self._engine = engine
        self.attrs = attrs
        """All there is to know about it."""

    @property
    def id(self) -> str:
        """Digest of its config."""
        return self.attrs["id"]

    @property
    def short_id(self) -> str:
        """The first twelve digits of its id."""
        return self.id.rpartition(":")[2][:12]

    @property
    def digest(self) -> str:
        """Digest of its manifest."""
        return self.attrs["digest"]

    @property
    def tags(self) -> list[str]:
        """Full references that point to it."""
        return list(self.attrs["tags"])

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.attrs["labels"])

    @property
    def size(self) -> int:
        """Bytes of its unpacked layers."""
        return self.attrs["size"]

    def tag(self, reference: str) -> None:
        """Gives it a further reference."""
        self._engine.images.tag(self.id, reference)
        self.reload()

    def remove(self, *, force: bool = False) -> list[RemovedImage]:
        """Removes it with all its tags."""
        return self._engine.images.remove(self.id, force=force or len(self.tags) > 1)

    def reload(self) -> None:
        """Reads it again."""
        self.attrs = self._engine.images.get(self.id).attrs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Image {', '.join(self.tags) or self.short_id}>"

    def _row(self) -> tuple[object, ...]:
        size, made = _html.bytes_text(self.size), (self.attrs["created"] or "")[:19]
        return ", ".join(self.tags) or "—", self.short_id, size, self.attrs["architecture"], made

    def _repr_html_(self) -> str:
        return _html.table(_HEAD, [self._row()])


_HEAD = ("image", "id", "size", "architecture", "created")


class ImageList(list[Image]):
    """A list that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return _html.table(_HEAD, [image._row() for image in self])


class Images:
    """The images of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        max_downloads: int | None = None,
        progress: Progress = None,
        cancel: Cancel | None = None,
    ) -> Image:
        """Pulls an image. Layers that the store has are not fetched again.

        Args:
            reference: `alpine`, `ghcr.io/owner/name:tag`, `127.0.0.1:5000/name@sha256:…`.
            platform: `os/arch[/variant]`; this host's by default.
            max_downloads: Layers fetched at once; 3 by default.
            progress: A callable that takes events, `True` for a bar, `False` for none;
                by default a bar on a terminal and in a notebook.
            cancel: Ends the call from another thread.
        """
        options: dict[str, Any] = {"platform": platform, "max_downloads": max_downloads}
        info = self._engine._native.pull(reference, options, choose(progress), cancel)
        return Image(self._engine, info)

    def list(self) -> ImageList:
        """The images in the store, newest first."""
        return ImageList(Image(self._engine, info) for info in self._engine._native.images())

    def get(self, image: str) -> Image:
        """One image by reference, id or unique prefix of an id."""
        return Image(self._engine, self._engine._native.inspect_image(image))

    def tag(self, image: str | Image, reference: str) -> None:
        """Gives an image a further reference."""
        self._engine._native.tag(_name(image), reference)

    def remove(self, image: str | Image, *, force: bool = False) -> Removed:
        """Removes a tag, and the image with its last tag.

        Args:
            image: Reference, id or image.
            force: Also when containers that don't run use it, or several tags point to it.
        """
        return self._engine._native.remove_image(_name(image), {"force": force})

    def __contains__(self, image: str) -> bool:
        from ._exceptions import NotFoundError

        try:
            self.get(image)
        except NotFoundError:
            return False
        return True

    def __iter__(self) -> Any:
        return iter(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()


def _name(image: str | Image) -> str:
    return image if isinstance(image, str) else image.id
