"""A real notebook kernel: its own event loop, its own thread for messages, and an interrupt that is a signal."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import sampan
from jupyter_client import manager


class Kernel:
    """A kernel and a client at its end of the line."""

    def __init__(self, kernel: Any, client: Any) -> None:
        self.kernel, self.client = kernel, client

    def start(self, code: str) -> str:
        message: str = self.client.execute(code)
        return message

    def shown(self, message: str, until: str | None = None) -> str:
        """What a cell prints, to its end or to a word."""
        text = ""
        while until is None or until not in text:
            reply = self.client.get_iopub_msg(timeout=60)
            if reply["parent_header"].get("msg_id") != message:
                continue
            content = reply["content"]
            if reply["msg_type"] == "stream":
                text += content["text"]
            elif reply["msg_type"] == "error":
                text += f"{content['ename']}: {content['evalue']}\n"
            elif reply["msg_type"] in ("execute_result", "display_data"):
                text += content["data"]["text/plain"] + "\n"
            elif content.get("execution_state") == "idle":
                break
        return text

    def run(self, code: str) -> str:
        return self.shown(self.start(code))


@pytest.fixture(scope="module")
def kernel(engine: sampan.Engine, store: pathlib.Path, image: str) -> Iterator[Kernel]:
    with pytest.MonkeyPatch.context() as patch:
        # Nothing of it in the user's home. Its history, a database, opens files when it likes.
        patch.setenv("IPYTHONDIR", str(store / "ipython"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(store / "jupyter"))
        arguments = ["--HistoryManager.enabled=False"]
        kernel, client = manager.start_new_kernel(kernel_name="python3", extra_arguments=arguments)
    kernel_ = Kernel(kernel, client)
    try:
        root, run = str(store / "root"), str(store / "run")
        kernel_.run(f"import sampan, os, asyncio, threading, signal; image = {image!r}")
        kernel_.run(f"engine = sampan.Engine({root!r}, run_dir={run!r}); sampan.use_engine(engine)")
        kernel_.run(f"fast = sampan.AsyncEngine({root!r}, run_dir={run!r})")
        yield kernel_
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


def test_calls_that_block_and_calls_that_are_awaited(kernel: Kernel) -> None:
    assert kernel.run("print(sampan.run(image, 'echo hi').stdout, end='')") == "hi\n"
    gathered = "outs = await asyncio.gather(*(fast.run(image, ['echo', str(n)]) for n in range(4)))"
    code = f"{gathered}\n[o.stdout for o in outs]"
    assert kernel.run(code) == "['0\\n', '1\\n', '2\\n', '3\\n']\n"
    assert kernel.run("%load_ext sampan") == ""
    magic = "get_ipython().run_cell_magic('container', image, 'echo in a cell')"
    assert kernel.run(magic) == "in a cell\n"


def test_the_kernel_s_interrupt_ends_a_wait_and_the_container_goes_with_its_block(kernel: Kernel) -> None:
    message = kernel.start(
        "with sampan.container(image, 'sleep 60', labels={'of': 'kernel'}) as c:\n"
        "    print(c.status, flush=True)\n"
        "    c.wait()"
    )
    assert kernel.shown(message, until="running") == "running\n"
    kernel.kernel.interrupt_kernel()
    assert "KeyboardInterrupt" in kernel.shown(message)
    assert kernel.run("len(engine.containers.list(all=True, filters={'label': 'of=kernel'}))") == "0\n"


def test_the_kernel_keeps_its_threads_descriptors_and_children(kernel: Kernel) -> None:
    both = "sampan.run(image, 'true'); await fast.run(image, 'true')"
    kernel.run(both)
    kernel.run("count = lambda: (len(os.listdir('/proc/self/fd')), len(os.listdir('/proc/self/task')))")
    before = kernel.run("count()")
    kernel.run(both)
    assert kernel.run("count()") == before


def test_a_followed_log(kernel: Kernel) -> None:
    code = "with sampan.container(image, ['sh', '-c', 'seq 3']) as c:\n    print(*c.logs(follow=True), sep='', end='')"
    assert kernel.run(code) == "1\n2\n3\n"
