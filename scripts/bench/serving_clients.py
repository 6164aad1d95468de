"""Clients that ask again as soon as they are answered: HTTP on sockets of their own, and gRPC."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

IMAGE = (1, 3, 32, 32)


@dataclass
class Seen:
    """What clients saw: the latencies of what was answered, in seconds, and every status."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    @property
    def tail(self) -> float:
        """p99 over the median."""
        return float(np.percentile(self.latencies, 99) / np.median(self.latencies))


def http_request(port: int) -> bytes:
    image = np.random.default_rng(0).standard_normal(IMAGE, np.float32).tobytes()
    tensor = {"name": "input", "shape": IMAGE, "datatype": "FP32"}
    document = {
        "inputs": [{**tensor, "parameters": {"binary_data_size": len(image)}}],
        "parameters": {"binary_data_output": True},
    }
    head = json.dumps(document).encode()
    return (
        f"POST /v2/models/digits/infer HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Inference-Header-Content-Length: {len(head)}\r\n"
        f"Content-Length: {len(head) + len(image)}\r\n\r\n"
    ).encode() + head + image  # fmt: skip


class Client(asyncio.Protocol):
    """Asks again as soon as it was answered, until the end."""

    def __init__(self, request: bytes, end: float, seen: Seen) -> None:
        self.request, self.end, self.seen = request, end, seen
        self.done = asyncio.get_running_loop().create_future()
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Ask, or hang up at the end."""
        if time.perf_counter() >= self.end:
            self.transport.close()
            return
        self.asked = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Take an answer, and ask again."""
        self.got += data
        head, found, body = self.got.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.lower().split(b"\r\n")
        length = next(int(v[15:]) for v in lines if v.startswith(b"content-length:"))
        if len(body) < length:
            return
        status = int(head[9:12])
        self.seen.statuses[status] += 1
        if status == 200:
            self.seen.latencies.append(time.perf_counter() - self.asked)
        self.got = b""
        self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self.done.set_result(None)


async def ask_http(port: int, clients: int, seconds: float) -> Seen:
    loop = asyncio.get_running_loop()
    seen, request = Seen(seconds), http_request(port)
    end = time.perf_counter() + seconds
    asking = [
        await loop.create_connection(lambda: Client(request, end, seen), "127.0.0.1", port)
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in asking))
    return seen


def grpc_request() -> bytes:
    from tritonclient.grpc import service_pb2 as pb

    request = pb.ModelInferRequest(model_name="digits")
    request.inputs.add(name="input", datatype="FP32", shape=IMAGE)
    image = np.random.default_rng(0).standard_normal(IMAGE, np.float32)
    request.raw_input_contents.append(image.tobytes())
    return bytes(request.SerializeToString())


async def ask_grpc(port: int, clients: int, seconds: float) -> Seen:
    import grpc

    content = grpc_request()
    seen = Seen(seconds)
    end = time.perf_counter() + seconds
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        async def ask() -> None:
            while (asked := time.perf_counter()) < end:
                await infer(content)
                seen.latencies.append(time.perf_counter() - asked)

        await asyncio.gather(*(ask() for _ in range(clients)))
    return seen
