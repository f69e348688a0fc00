"""What happens in the store, and what is told of a container that was killed for memory."""

from __future__ import annotations

import asyncio
import datetime
import os
import pathlib
import threading

import pytest
import sampan
from sampan import _events, _pull


def test_what_happens_is_followed_until_it_is_closed(engine: sampan.Engine, image: str) -> None:
    heard: list[str] = []
    with engine.events(filters={"type": "container", "event": ["create", "die"]}) as events:
        output = engine.run(image, ["sh", "-c", "exit 3"])
        for _ in range(2):
            event = events.next(timeout=60)
            heard.append(event["action"])
            assert event["id"] == output.id and event["kind"] == "container"
        assert heard == ["create", "die"] and event["attributes"]["exitCode"] == "3"
        with pytest.raises(sampan.TimeoutError):
            events.next(timeout=0.01)
        closing = threading.Thread(target=events.close)
        waiting = threading.Thread(target=lambda: heard.extend(e["action"] for e in events))
        waiting.start()
        closing.start()
        waiting.join()
        closing.join()
    assert heard == ["create", "die"] and list(events) == []


class Unending:
    """A stream that another thread reads whenever it is to be closed."""

    def __init__(self) -> None:
        self.cancelled: list[bool] = []

    def next(self, _: object, cancel: sampan.Cancel) -> dict[str, str]:
        self.cancelled.append(cancel.cancelled)
        return {}

    def close(self) -> None:
        pass


def test_a_close_is_heard_by_a_read_that_just_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Unending()
    events = _events.Events(stream)  # type: ignore[arg-type]

    def token() -> sampan.Cancel:
        events.close()
        return sampan.Cancel()

    monkeypatch.setattr(_pull, "Cancel", token)
    assert events.take() is None and stream.cancelled in ([], [True])


def test_a_forked_child_ends_no_read_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    events, cancel = _events.Events(Unending()), sampan.Cancel()  # type: ignore[arg-type]
    assert events.take(cancel=cancel) == {}
    monkeypatch.setattr(os, "getpid", lambda: 0)
    events.close()
    # A process has its own flag, but shares what its waits are woken by.
    assert not cancel.cancelled and events.take() is None


def test_what_has_happened_is_read_back(engine: sampan.Engine, image: str) -> None:
    before = datetime.datetime.now(datetime.timezone.utc)
    output = engine.run(image, "true")
    kept = engine.events(since=before, until=datetime.timedelta(), filters=f"container={output.id}")
    assert [event["action"] for event in kept] == ["create", "start", "die", "destroy"]
    assert list(engine.events(since=0, until=before, filters=[f"container={output.id}"])) == []
    with pytest.raises(sampan.InvalidArgumentError):
        engine.events(filters="colour=blue")


def test_asyncio_follows_from_the_call_on(store: pathlib.Path, engine: sampan.Engine, image: str) -> None:
    async def main() -> None:
        make = sampan.AsyncEngine(store / "root", run_dir=store / "run")
        events = make.events(filters=["event=die"])
        await make.run(image, ["sh", "-c", "exit 4"])
        event = await events.__anext__()
        assert event["attributes"]["exitCode"] == "4"
        waiting = asyncio.ensure_future(events.__anext__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert not [t for t in threading.enumerate() if t.name == "sampan"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user may have no limits")
def test_want_of_memory_is_told_by_the_error(engine: sampan.Engine, image: str) -> None:
    hungry = ["tail", "-c", "64m", "/dev/zero"]
    with pytest.raises(sampan.ExitError, match=r"exited with 137: .*its limit is 16 MiB") as raised:
        engine.run(image, hungry, memory="16m", check=True)
    assert raised.value.output.exit.oom_killed
    with engine.container(image, "sleep 60", memory="16m") as container:
        ended = container.exec(hungry)
        assert ended.exit.oom_killed and "the command in container" in str(ended.exit.error)
        assert container.stats()["oom_kills"] == 1 and container.inspect()["oom_kills"] == 1
