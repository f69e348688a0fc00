"""Images for asyncio: `engine.images`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._call import call as _call
from ._call import in_loop as _in_loop
from ._images import Image
from ._sampan import Cancel

if TYPE_CHECKING:
    from ._async import AsyncEngine
    from ._progress import Progress
    from ._types import RemovedImage


class AsyncImage:
    """An image of the store."""

    def __init__(self, sync: Image) -> None:
        self.sync = sync
        """The same image for code that may block."""
        self.id = sync.id
        """Digest of its config."""
        self.short_id = sync.short_id
        """The first twelve digits of its id."""
        self.tags = sync.tags
        """Full references that point to it."""
        self.attrs = sync.attrs
        """All there is to know about it."""

    async def tag(self, reference: str) -> None:
        """Gives it a further reference."""
        await _call(lambda: self.sync.tag(reference))
        self.tags, self.attrs = self.sync.tags, self.sync.attrs

    async def remove(self, *, force: bool = False) -> list[RemovedImage]:
        """Removes it with all its tags."""
        return await _call(lambda: self.sync.remove(force=force))

    def __repr__(self) -> str:
        return "<Async" + repr(self.sync)[1:]

    def _repr_html_(self) -> str:
        return self.sync._repr_html_()


class AsyncImages:
    """The images of an engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        max_downloads: int | None = None,
        progress: Progress = None,
    ) -> AsyncImage:
        """Pulls an image. Cancelling the task ends the pull at once."""
        images, cancel, tell = (await self._engine.open()).images, Cancel(), _in_loop(progress)
        work = lambda: images.pull(  # noqa: E731
            reference, platform=platform, max_downloads=max_downloads, progress=tell, cancel=cancel
        )
        return AsyncImage(await _call(work, cancel))

    async def list(self) -> list[AsyncImage]:
        """The images in the store, newest first."""
        images = (await self._engine.open()).images
        return [AsyncImage(image) for image in await _call(images.list)]

    async def get(self, image: str) -> AsyncImage:
        """One image by reference, id or unique prefix of an id."""
        images = (await self._engine.open()).images
        return AsyncImage(await _call(lambda: images.get(image)))

    async def tag(self, image: str, reference: str) -> None:
        """Gives an image a further reference."""
        images = (await self._engine.open()).images
        await _call(lambda: images.tag(image, reference))

    async def remove(self, image: str, *, force: bool = False) -> Any:
        """Removes a tag, and the image with its last tag."""
        images = (await self._engine.open()).images
        return await _call(lambda: images.remove(image, force=force))
