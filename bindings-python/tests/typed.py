"""What a user's checker sees of the package; it is checked, and never run."""

from __future__ import annotations

import sampan


def uses(engine: sampan.Engine, image: sampan.Image) -> None:
    text: sampan.Output = engine.run(image, "true", labels=["x"], env={"A": None, "B": 1}, user=1000)
    raw: sampan.BytesOutput = sampan.run(image, labels={"a": "b"}, env=["A=1", "HOME"], text=False)
    started: sampan.Container = engine.containers.run(image, detach=True, volumes="/etc:/x:ro", tmpfs="/x")
    print(text.stdout + "", raw.stdout + b"", started.status)
    engine.containers.run(image, detach=True, timeout=1.0)  # type: ignore[call-overload]
    engine.containers.spawn(image, labels=5)  # type: ignore[arg-type]


async def awaits(engine: sampan.AsyncEngine) -> None:
    text: sampan.Output = await engine.run("image", "true", check=True)
    raw: sampan.BytesOutput = await engine.containers.run("image", text=False)
    started: sampan.AsyncContainer = await engine.run("image", detach=True)
    print(text.stdout + "", raw.stdout + b"", await started.status())
    await engine.run("image", detach=True, check=True)  # type: ignore[call-overload]
