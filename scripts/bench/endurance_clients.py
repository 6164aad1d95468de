"""The other side of endurance.py: clients that are wrong, right, many, or cut off."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
from serving_clients import grpc_request, http_request

CLIENTS = 16
_STEP = 64 << 10
_ENOUGH = 0.3
"""Seconds after which a server still waits for the rest of what was cut off."""
Answers = Counter[str]
"""How often each status came; "none" where no answer did."""


@dataclass
class Asked:
    """A request, whether it was sent before the signal to end, and whether it was answered."""

    at: float
    before: bool = False
    answered: bool = False


@functools.cache
def picture() -> bytes:
    """Draw a JPEG of 4000 x 3000 pixels."""
    from PIL import Image

    small = np.random.default_rng(0).integers(0, 255, (75, 100, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((4000, 3000)).save(file, "JPEG", quality=90)
    return file.getvalue()


def classify_request(port: int) -> bytes:
    content = picture()
    head = f"POST /v2/models/digits/classify HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def spoilt(rng: random.Random, content: bytes) -> bytes:
    """Change, cut out or put in some bytes, or leave the end out."""
    bytes_ = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(min(len(bytes_), 700))  # the header, and the document behind it
        match rng.randrange(4):
            case 0:
                bytes_[at : at + 1] = rng.randbytes(1)
            case 1:
                del bytes_[at : at + rng.randint(1, 20)]
            case 2:
                bytes_[at:at] = rng.randbytes(rng.randint(1, 20))
            case 3:
                del bytes_[rng.randrange(len(bytes_)) :]
                bytes_ += b"\r\n"
    return bytes(bytes_)


class Wire:
    """One connection, made when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, sent: Callable[[], None] = lambda: None) -> str:
        """Send a request and give the status of its answer; "none" where none comes."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            for start in range(0, len(request), _STEP):  # a thousand pictures are not kept here
                writer.write(request[start : start + _STEP])
                await writer.drain()
            sent()
            return await self._answer(reader)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return "none"

    async def _answer(self, reader: asyncio.StreamReader) -> str:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        lines = head.split(b"\r\n")
        await reader.readexactly(
            next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        )
        if b"connection: close" in lines:
            self.close()
        return lines[0].split()[1].decode()

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _shared(count: int, clients: int, client: Callable[[int], Awaitable[None]]) -> None:
    """Have clients ask their parts of a count."""
    parts = [count // clients + (i < count % clients) for i in range(clients)]
    await asyncio.gather(*(client(part) for part in parts))


async def bad_requests(http: int, grpc_port: int, count: int) -> Answers:
    """Ask what is wrong: over HTTP, on a connection each, and one in ten over gRPC."""
    import grpc

    rng, answers = random.Random(0), Answers()  # noqa: S311 - it keeps no secret
    right, message = http_request(http), grpc_request()

    async def over_http(part: int) -> None:
        for _ in range(part):
            reader, writer = await asyncio.open_connection("127.0.0.1", http)
            line = b""
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                writer.write(spoilt(rng, right))
                line = await asyncio.wait_for(reader.readline(), _ENOUGH)
            answers[line.split()[1].decode() if line else "none"] += 1
            writer.close()

    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        async def over_grpc(part: int) -> None:
            for _ in range(part):
                try:
                    await infer(spoilt(rng, message), timeout=60)
                    answers["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    answers[error.code().name] += 1

        await asyncio.gather(
            _shared(count * 9 // 10, CLIENTS, over_http), _shared(count // 10, 4, over_grpc)
        )
    return answers


async def good_requests(http: int, grpc_port: int, count: int) -> Answers:
    """Ask what is right: nine in ten over HTTP, a new connection every 500."""
    import grpc

    answers, request, message = Answers(), http_request(http), grpc_request()

    async def over_http(part: int) -> None:
        wire = Wire(http)
        for i in range(part):
            answers[await wire.ask(request)] += 1
            if i % 500 == 499:
                wire.close()
        wire.close()

    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        async def over_grpc(part: int) -> None:
            for _ in range(part):
                await infer(message, timeout=60)
                answers["OK"] += 1

        await asyncio.gather(
            _shared(count * 9 // 10, CLIENTS, over_http), _shared(count // 10, 4, over_grpc)
        )
    return answers


async def classify_all(http: int, clients: int) -> tuple[Answers, float]:
    """Have everybody send a picture at once; give the answers, and how many waited at the most."""
    answers, request = Answers(), classify_request(http)
    most, over = 0.0, asyncio.Event()

    async def ask() -> None:
        wire = Wire(http)
        answers[await wire.ask(request)] += 1
        wire.close()

    async def look() -> None:
        nonlocal most
        while not over.is_set():
            with contextlib.suppress(OSError):
                most = max(most, await asyncio.to_thread(waiting, http))
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    await asyncio.gather(*(ask() for _ in range(clients)))
    over.set()
    await looking
    return answers, most


def waiting(http: int) -> float:
    """Read the length of the queue from the metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if "pending_request_count{" in line)


async def mixed(
    http: int, grpc_port: int, after: float, end: Callable[[], None]
) -> tuple[list[Asked], float]:
    """Ask over HTTP, over gRPC and with pictures, and have the server ended meanwhile.

    Returns:
        Every request, and when the signal was given.
    """
    import grpc

    seen: list[Asked] = []
    signalled = 0.0

    async def over_http(request: bytes) -> None:
        wire = Wire(http)
        while not signalled:
            asked = Asked(0.0)
            seen.append(asked)
            asked.answered = await wire.ask(request, functools.partial(_sent, asked)) != "none"
        wire.close()

    def _sent(asked: Asked) -> None:
        asked.at = time.monotonic()

    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        async def over_grpc() -> None:
            while not signalled:
                asked = Asked(time.monotonic())
                seen.append(asked)
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await infer(grpc_request(), timeout=30)
                    asked.answered = True

        async def stop() -> None:
            nonlocal signalled
            await asyncio.sleep(after)
            end()
            signalled = time.monotonic()

        await asyncio.gather(
            stop(),
            *(over_http(http_request(http)) for _ in range(6)),
            *(over_http(classify_request(http)) for _ in range(2)),
            *(over_grpc() for _ in range(4)),
        )
    for asked in seen:
        asked.before = 0 < asked.at < signalled - _ON_ITS_WAY
    return seen, signalled


_ON_ITS_WAY = 0.02
"""Seconds within which a request that was sent may not have come to the server's process yet."""
