"""The server's side: start the process when it is first needed, ask it, end it when it is stuck."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from simam_deploy.serve.aside import frames
from simam_deploy.serve.aside.child import DONE
from simam_deploy.serve.protocol import refusals
from simam_deploy.serve.protocol.refusals import Refusal, TooLarge

Work = Callable[[memoryview, Any], Sequence[frames.Buffer]]
"""Makes buffers of a content, and of what JSON can say beside it."""


class Helper:
    """A process that does one thing after the other.

    All methods are for the event loop's thread.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aside")
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None

    async def run(self, work: Work, content: bytes, told: Mapping[str, Any]) -> list[memoryview]:
        """Have work done when its turn comes.

        Args:
            work: A function of a module, which the process imports by its name.
            content: Its first argument.
            told: Its second.

        Raises:
            Refusal: As the work does; TooLarge where the process did not survive it.
            CancelledError: The caller went away; the process ends, and the next who asks has
                another.
        """
        asked = f"{work.__module__}:{work.__qualname__}".encode(), json.dumps(told).encode()
        loop = asyncio.get_running_loop()
        async with self._turn:
            try:
                said, *answer = await loop.run_in_executor(
                    self._thread, self._exchange, [*asked, content]
                )
            except (EOFError, OSError):
                self._end()
                raise TooLarge(
                    "the request takes too much memory to read: send tensors binary"
                ) from None
            except asyncio.CancelledError:
                self._end()
                raise
        if said == DONE:
            return answer
        name, message = (bytes(each).decode() for each in answer)
        kind: type[Refusal] = getattr(refusals, name)
        raise kind(message)

    def _exchange(self, parts: Sequence[frames.Buffer]) -> list[memoryview]:
        if self._process is not None and self._process.poll() is not None:
            self._end()  # by the system, since the last one
        if self._sock is None:
            self._start()
        assert self._sock is not None
        frames.send(self._sock, parts)
        return frames.receive(self._sock)

    def _start(self) -> None:
        """Start the process, with the modules of this one: `-m` would look into the work folder."""
        here, there = socket.socketpair()
        with there:
            code = (
                f"import sys; sys.path[:] = {sys.path!r}; "
                f"from simam_deploy.serve.aside.child import main; main({there.fileno()})"
            )
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # each would map 30 MB
            )
        self._sock = here

    def _end(self) -> None:
        """End the process, if there is one; the thread that waits for it sees the socket's end."""
        process, sock = self._process, self._sock
        self._process = self._sock = None
        if process is not None and sock is not None:
            process.kill()
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            self._thread.submit(_bury, process, sock)

    async def close(self) -> None:
        """End the process and the thread."""
        self._end()
        await asyncio.to_thread(self._thread.shutdown)


def _bury(process: subprocess.Popen[bytes], sock: socket.socket) -> None:
    process.wait()
    sock.close()
