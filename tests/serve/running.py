"""A server in this process, in a thread with an event loop of its own, on free ports."""

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simam_deploy.serve.server import Server
from simam_deploy.serve.settings import Settings

PATIENCE = 30.0


@dataclass
class Running:
    """Where it listens, and what it said."""

    server: Server
    loop: asyncio.AbstractEventLoop
    said: list[str] = field(default_factory=list)

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.server.http_port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.server.grpc_port}"

    @property
    def in_flight(self) -> int:
        """Count the HTTP requests that are being answered."""
        return len(self.server._http.server_state.tasks)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.server.stop)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Ask once on a new connection: the status, the body (read where it is JSON), headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body or None, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
            if response.headers.get("content-type") == "application/json":
                content = json.loads(content)
            return response.status, content, response.headers


@contextlib.contextmanager
def serving(
    sources: Mapping[str, Path], *, run_loop: Callable[[Any], Any] = asyncio.run, **settings: Any
) -> Iterator[Running]:
    """Serve until the block ends; raises what the server raised."""
    chosen = Settings(**{"http_port": 0, "grpc_port": 0, **settings})
    made: list[Running] = []
    raised: list[BaseException] = []

    async def run() -> None:
        said: list[str] = []
        server = Server(sources, chosen, said.append)
        made.append(Running(server, asyncio.get_running_loop(), said))
        await server.run()

    def work() -> None:
        try:
            run_loop(run())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(lambda: raised or (made and made[0].server.repository.ready))
        if raised:
            raise raised[0]
        yield made[0]
    finally:
        if thread.is_alive():
            made[0].stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not end"
    if raised:
        raise raised[0]


def until(met: Callable[[], Any]) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
