"""Pulls an image and runs it, step by step:

    python examples/python/quickstart.py [IMAGE]        SAMPAN_ROOT names another store
"""

from __future__ import annotations

import asyncio
import os
import sys

import sampan


def main(image: str) -> None:
    engine = sampan.Engine(os.environ.get("SAMPAN_ROOT"))

    pulled = engine.pull(image)
    print(f"pulled {', '.join(pulled.tags)}: {pulled.size} bytes, {len(pulled.attrs['layers'])} layer(s)")

    out = engine.run(image, ["sh", "-c", "echo hello from $(hostname); id -u"], env={"A": "1"})
    print(f"run: exit code {out.exit_code}, it wrote {out.stdout!r}")

    with engine.container(image, ["sh", "-c", "for i in 1 2 3; do echo line $i; done; exec sleep 60"]) as c:
        print(f"started {c.short_id}: {c.status}")
        c.wait_ready(log="line 3", timeout=10)
        for line in c.logs():
            print(f"  log: {line}", end="")
        c.stop(timeout=1)
        print(f"stopped: exit code {c.wait().code}")

    try:
        engine.run(image, ["/no/such/command"])
    except sampan.Error as error:
        print(f"an error has a kind and a sentence: {error.kind}: {error}")

    asyncio.run(at_once(image))


async def at_once(image: str) -> None:
    """Eight containers at once, in one process and with no daemon."""
    engine = sampan.AsyncEngine(os.environ.get("SAMPAN_ROOT"))
    outputs = await asyncio.gather(*(engine.run(image, ["echo", str(n)]) for n in range(8)))
    print("eight at once:", " ".join(out.stdout.strip() for out in outputs))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "busybox:latest")
