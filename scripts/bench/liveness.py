"""How soon `/v2/health/live` is answered while others ask a server for what is large.

A probe asks every 4 ms, and another asks a second server, which nobody else asks anything, at the
same time: what that one waits for is the machine's doing. Clients, the probes and the servers are
processes of their own. What was expected stands in predictions.md.

    python scripts/bench/liveness.py [--seconds 10] [--csv FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from serving_process import BATCH, free_port, simam_serve, started
from tables import FACTS, facts, recorded

COLUMNS = (*FACTS, "what", "clients", "answered", "median ms", "p99 ms", "most ms", "idle p99 ms",
           "idle most ms")  # fmt: skip
MODEL = "anything"
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
PAUSE, BEGUN = 0.004, 2.0
Ask = Callable[[], bool]
spawned = multiprocessing.get_context("spawn")  # gRPC does not survive a fork


def made(folder: Path) -> Path:
    """Write a model that hands on a matrix of any width."""
    import onnx

    text = '<ir_version: 8, opset_import: ["": 18]> g (float[n, w] x) => (float[n, w] y)'
    path = folder / f"{MODEL}.onnx"
    onnx.save(onnx.parser.parse_model(text + "{ y = Identity(x) }"), path)
    return path


def posts(port: int, body: bytes, header: dict[str, str]) -> bool:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        client.request("POST", f"/v2/models/{MODEL}/infer", body, header)
        answer = client.getresponse()
        while answer.read(1 << 20):
            pass
        return answer.status != 503


def nested_json(megabytes: int, http: int, grpc: int) -> Ask:
    """Lists in a list, which are refused once they are read."""
    lists = b",".join([b"[]"] * (megabytes * 340_000))
    head = b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":['
    return partial(posts, http, head + lists + b"]}]}", {})


def tensor(megabytes: int) -> np.ndarray[Any, Any]:
    return np.zeros((BATCH, megabytes * (1 << 18) // BATCH), np.float32)


def over_http(megabytes: int, http: int, grpc: int) -> Ask:
    """A tensor there and back, binary."""
    x = tensor(megabytes)
    told = {"name": "x", "shape": x.shape, "datatype": "FP32",
            "parameters": {"binary_data_size": x.nbytes}}  # fmt: skip
    document = {"inputs": [told], "parameters": {"binary_data_output": True}}
    head = json.dumps(document).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    return partial(posts, http, head + x.tobytes(), length)


def over_grpc(megabytes: int, http: int, grpc: int) -> Ask:
    """A tensor there and back."""
    import grpc as library
    from tritonclient.grpc import service_pb2 as pb

    x = tensor(megabytes)
    message = pb.ModelInferRequest(model_name=MODEL, raw_input_contents=[x.tobytes()])
    message.inputs.add(name="x", datatype="FP32", shape=x.shape)
    content, unbounded = message.SerializeToString(), [("grpc.max_receive_message_length", -1)]
    channel = library.insecure_channel(f"127.0.0.1:{grpc}", unbounded)
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

    def ask() -> bool:
        try:
            call(content, timeout=60)
        except library.RpcError:
            return False
        return True

    return ask


ATTACKS: tuple[tuple[str, int, Callable[[int, int, int], Ask], int], ...] = (
    ("nested JSON, 10 MB", 4, nested_json, 10),
    ("HTTP, 55 MB", 1, over_http, 55),
    ("gRPC, 5 MB", 2, over_grpc, 5),
    ("gRPC, 16 MB", 1, over_grpc, 16),
    ("gRPC, 55 MB", 1, over_grpc, 55),
)


def attack(make: Callable[[int, int, int], Ask], megabytes: int, ports: tuple[int, int],
           end: Any, answered: Any) -> None:  # fmt: skip
    """Ask one after the other until the end, and say how often there was an answer."""
    ask, count = make(megabytes, *ports), 0
    while not end.is_set():
        count += ask()
    answered.put(count)


def probe(port: int, seconds: float, waited: Any) -> None:
    """Give every answer's milliseconds, by port."""
    found = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun, answer = time.perf_counter(), b""
            sock.sendall(LIVE)
            while not answer.endswith(b"\r\n\r\n"):
                answer += sock.recv(4096)
            found.append(1000 * (time.perf_counter() - begun))
            time.sleep(PAUSE)
    waited.put((port, found))


def measured(ports: tuple[int, int], idle: int, seconds: float, name: str, clients: int,
             make: Callable[[int, int, int], Ask], megabytes: int) -> dict[str, str]:  # fmt: skip
    """Probe both servers while clients ask one of them."""
    end, answered, waited = spawned.Event(), spawned.Queue(), spawned.Queue()
    given = make, megabytes, ports, end, answered
    askers = [spawned.Process(target=attack, args=given) for _ in range(clients)]
    for asker in askers:
        asker.start()
    time.sleep(BEGUN)
    for port in (ports[0], idle):
        spawned.Process(target=probe, args=(port, seconds, waited)).start()
    found = dict(waited.get() for _ in range(2))
    end.set()
    count = sum(answered.get() for _ in askers)
    row = {"what": name, "clients": str(clients), "answered": str(count)}
    for column, values, share in (
        ("median ms", found[ports[0]], 50), ("p99 ms", found[ports[0]], 99),
        ("most ms", found[ports[0]], 100), ("idle p99 ms", found[idle], 99),
        ("idle most ms", found[idle], 100),
    ):  # fmt: skip
        row[column] = f"{np.percentile(values, share):.1f}"
    return row


def all_rows(seconds: float) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = made(Path(folder))
        ports, other = (free_port(), free_port()), (free_port(), free_port())
        for each in (ports, other):
            stack.enter_context(started(simam_serve(path, *each), each[0], MODEL))
        for given in ATTACKS:
            yield {**facts("onnxruntime", "grpcio"),
                   **measured(ports, other[0], seconds, *given)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    for row in recorded(args.csv, COLUMNS, all_rows(args.seconds)):
        print("  ".join(f"{key} {row[key]}" for key in COLUMNS if key not in FACTS), flush=True)


if __name__ == "__main__":
    main()
