"""Which HTTP client the load generator should stand on: requests a second and core, by client.

The other side is a process that answers every request with the same bytes without reading it, so
what is counted is the client: requests over the CPU seconds that this process used.

Needs aiohttp, httpx and uvloop beside the extra `serve`:
    python scripts/bench/load_clients.py
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from typing import cast

import httptools
import numpy as np
import uvloop

from simam_deploy.serve.load.http_client import HttpWire
from simam_deploy.serve.load.plan import Plan
from simam_deploy.serve.load.target import Target
from simam_deploy.serve.load.traffic import Tally, drive

SECONDS = 3.0
CLIENTS = 16
PATH = "/v2/models/m/infer"
LOGITS = np.zeros((1, 10), np.float32).tobytes()
REPLY = json.dumps(
    {
        "model_name": "m",
        "model_version": "1",
        "outputs": [
            {
                "name": "logits",
                "datatype": "FP32",
                "shape": [1, 10],
                "parameters": {"binary_data_size": len(LOGITS)},
            }
        ],
    }
).encode()
IMAGE = np.random.default_rng(0).random((1, 3, 32, 32), np.float32).tobytes()
HEADER = json.dumps(
    {
        "inputs": [
            {
                "name": "input",
                "datatype": "FP32",
                "shape": [1, 3, 32, 32],
                "parameters": {"binary_data_size": len(IMAGE)},
            }
        ]
    }
).encode()
BODY = HEADER + IMAGE
FIELDS = {
    "Inference-Header-Content-Length": str(len(HEADER)),
    "Content-Type": "application/octet-stream",
}

Clients = Callable[[int, float], Awaitable[int]]
"""Keeps CLIENTS clients at a port busy until a perf_counter time; gives the replies counted."""


class _Echo(asyncio.Protocol):
    """Answers as soon as as many bytes came as a request has."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.missing = 0

    def data_received(self, data: bytes) -> None:
        while data:
            if not self.missing:
                end = data.index(b"\r\n\r\n") + 4
                head, data = data[:end].lower(), data[end:]
                lengths = [h for h in head.split(b"\r\n") if h.startswith(b"content-length:")]
                self.missing = int(lengths[0][15:])
            taken = min(self.missing, len(data))
            data, self.missing = data[taken:], self.missing - taken
            if not self.missing:
                self.transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                    b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n"
                    % (len(REPLY), len(REPLY) + len(LOGITS))
                    + REPLY
                    + LOGITS
                )


def serve(ports: multiprocessing.Queue[int]) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(forever())


async def with_aiohttp(port: int, until: float) -> int:
    import aiohttp

    async def client(session: aiohttp.ClientSession) -> int:
        count = 0
        while time.perf_counter() < until:
            url = f"http://127.0.0.1:{port}{PATH}"
            async with session.post(url, data=BODY, headers=FIELDS) as reply:
                await reply.read()
                count += reply.status == 200
        return count

    async with aiohttp.ClientSession() as session:
        return sum(await asyncio.gather(*(client(session) for _ in range(CLIENTS))))


async def with_httpx(port: int, until: float) -> int:
    import httpx

    async def client(session: httpx.AsyncClient) -> int:
        count = 0
        while time.perf_counter() < until:
            url = f"http://127.0.0.1:{port}{PATH}"
            reply = await session.post(url, content=BODY, headers=FIELDS)
            count += reply.status_code == 200
        return count

    async with httpx.AsyncClient() as session:
        return sum(await asyncio.gather(*(client(session) for _ in range(CLIENTS))))


def head(port: int) -> bytes:
    fields = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(BODY)), **FIELDS}
    lines = [f"POST {PATH} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
    return "\r\n".join(lines).encode()


class _Done:
    """Hears of the end of a reply from httptools."""

    complete = False

    def on_message_complete(self) -> None:
        self.complete = True


async def with_streams(port: int, until: float) -> int:
    request = head(port) + BODY

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while time.perf_counter() < until:
            writer.write(request)
            done = _Done()
            parser = httptools.HttpResponseParser(done)
            while not done.complete:
                parser.feed_data(await reader.read(1 << 16))
            count += parser.get_status_code() == 200
        writer.close()
        return count

    return sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))


class _Wire(asyncio.Protocol):
    """One request at a time on one connection; `complete` is the future of its status."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes) -> asyncio.Future[int]:
        self.future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.future

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.future.set_result(self.parser.get_status_code())


async def with_protocol(port: int, until: float) -> int:
    request = head(port) + BODY

    async def client() -> int:
        _, wire = await asyncio.get_running_loop().create_connection(_Wire, "127.0.0.1", port)
        count = 0
        while time.perf_counter() < until:
            count += await wire.send(request) == 200
        wire.transport.close()
        return count

    return sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))


async def with_simam_load(port: int, until: float) -> int:
    target = Target("http", "127.0.0.1", port)
    wires = [HttpWire(target, head(port) + BODY, 10.0) for _ in range(CLIENTS)]
    tally = Tally()
    await drive(wires, Plan(seconds=until - time.perf_counter(), clients=CLIENTS), tally)
    await asyncio.gather(*(wire.close() for wire in wires))
    return len(tally.latencies)


CANDIDATES: dict[str, Clients] = {
    "httpx": with_httpx,
    "aiohttp": with_aiohttp,
    "streams + httptools": with_streams,
    "protocol + httptools": with_protocol,
    "simam-load, whole": with_simam_load,
}


def main() -> None:
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    process = multiprocessing.Process(target=serve, args=(ports,), daemon=True)
    process.start()
    port = ports.get()
    print(f"{'client':24}{'loop':10}{'req/s':>8}{'req/s/core':>12}")
    for name, clients in CANDIDATES.items():
        for loop, run in (("asyncio", asyncio.run), ("uvloop", uvloop.run)):
            cpu = time.process_time()
            count = run(clients(port, time.perf_counter() + SECONDS))
            used = time.process_time() - cpu
            print(f"{name:24}{loop:10}{count / SECONDS:8.0f}{count / used:12.0f}")
    process.terminate()


if __name__ == "__main__":
    main()
