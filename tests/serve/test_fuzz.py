"""Malformed requests by the thousand: none is a fault of ours, none leaves anything behind."""

import contextlib
import http.client
import json
import random
import resource
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.serve import graphs
from tests.serve.running import serving, until
from tests.serve.test_lifecycle import X, body_of

ODD = [
    None, True, False, 0, -1, 1, 3, 4, 1.5, 1e308, 2**31, 2**63, 2**64, -(2**63), "", "x", "FP32",
    "INT64", "BYTES", "\0", "é" * 50, "a" * 5000, [], [[]], [1, 3, 4], [1, [3]], [None], {},
    {"a": 1}, "y",
    {"binary_data_size": 48}, [[[[]]]] * 3, "../../etc/passwd", "total",
]  # fmt: skip
PATHS = ["/v2/models/double/infer", "/v2/models/two/infer", "/v2/models/type_uint8/infer",
         "/v2/models/free/infer", "/v2/models/double/versions/1/infer"]  # fmt: skip


def document(rng):
    """A request that is right, with up to three of its parts replaced, taken out or added."""
    tensor = {"name": "x", "shape": [1, 3, 4], "datatype": "FP32", "data": list(range(12))}
    whole = {"id": "i", "inputs": [tensor], "outputs": [{"name": "y", "parameters": {}}],
             "parameters": {"binary_data_output": True}}  # fmt: skip
    for _ in range(rng.randint(1, 3)):
        places = [whole, tensor, whole["outputs"][0] if _is_list_of_dict(whole) else whole]
        place = rng.choice(places)
        key = rng.choice([*place, "parameters", "datatype", "shape", "timeout"])
        if rng.random() < 0.2:
            place.pop(key, None)
        else:
            place[key] = rng.choice(ODD)
    return json.dumps(whole).encode()


def _is_list_of_dict(whole):
    outputs = whole.get("outputs")
    return isinstance(outputs, list) and bool(outputs) and isinstance(outputs[0], dict)


def spoilt(rng, content):
    """Some bytes changed, cut out or put in."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content) + 1)
        match rng.randrange(3):
            case 0:
                content[at : at + 1] = rng.randbytes(1)
            case 1:
                del content[at : at + rng.randint(1, 20)]
            case 2:
                content[at:at] = rng.randbytes(rng.randint(1, 20))
    return bytes(content)


def http_request(rng):
    body = document(rng)
    extra = ""
    if rng.random() < 0.4:
        length = rng.choice([len(body), len(body) - 1, 0, len(body) + 7, -3, 10**15, "x", "1e3"])
        extra = f"Inference-Header-Content-Length: {length}\r\n"
        body += rng.randbytes(rng.choice([0, 1, 47, 48, 49, 500]))
    if rng.random() < 0.3:
        body = spoilt(rng, body)
    size = rng.choice([len(body)] * 12 + [len(body) - 1, len(body) + 9, 2**40, -1])
    fixed = f"Host: localhost\r\n{extra}Content-Length: {size}\r\n\r\n"
    head = f"POST {rng.choice(PATHS)} HTTP/1.1\r\n{fixed}"
    whole = head.encode() + body
    return spoilt(rng, whole) if rng.random() < 0.25 else whole


def statuses(running, sent):
    """What one connection was answered: the status of every answer it got."""
    with socket.create_connection(("127.0.0.1", running.server.http_port), timeout=10) as sock:
        got = b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65536):
                got += part
    return [int(line[9:12]) for line in got.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def fuzz_http(running, count, seed):
    rng = random.Random(seed)
    seen = {}
    for _ in range(count):
        sent = http_request(rng)
        for status in statuses(running, sent):
            seen[status] = seen.get(status, 0) + 1
            # 403: what was spoilt was the Host, which is another server's then.
            assert status in (200, 400, 403, 404, 405, 408, 413, 415, 431), (status, sent)
    return seen


def test_malformed_http(served, caplog):
    seen = fuzz_http(served, 400, seed=1)
    assert seen[400] > 200
    until(lambda: not served.in_flight)
    assert not caplog.records
    assert served.request("POST", "/v2/models/double/infer", body_of(X))[0] == 200


@pytest.mark.slow
def test_ten_thousand_malformed_requests(served, caplog):
    fuzz_http(served, 9_000, seed=2)
    fuzz_grpc(served, 1_000, seed=3)
    until(lambda: not served.in_flight)
    assert not caplog.records
    assert served.request("POST", "/v2/models/double/infer", body_of(X))[0] == 200


def grpc_request(rng):
    request = pb.ModelInferRequest(model_name=rng.choice(["double"] * 8 + ["", "\0", "nobody"]))
    for _ in range(rng.choice([1] * 8 + [0, 2, 5])):
        tensor = request.inputs.add(
            name=rng.choice(["x"] * 6 + ["", "y"]),
            datatype=rng.choice(["FP32"] * 6 + ["", "FP16", "BYTES"]),
            shape=rng.choice([[1, 3, 4]] * 4 + [[], [1], [-1, 3, 4], [2**62, 3, 4], [0, 3, 4]]),
        )
        if rng.random() < 0.3:
            tensor.contents.fp32_contents.extend([1.0] * rng.choice([0, 11, 12, 13]))
        if rng.random() < 0.1:
            tensor.parameters["shared_memory_region"].string_param = "r"
    for _ in range(rng.choice([1] * 6 + [0, 2])):
        request.raw_input_contents.append(bytes(rng.choice([48] * 6 + [0, 47, 49, 4096])))
    if rng.random() < 0.1:
        request.parameters["timeout"].int64_param = rng.choice([-1, 0, 2**62])
    if rng.random() < 0.2:
        request.outputs.add(name=rng.choice(["y", "", "q"]))
    sent = request.SerializeToString()
    return spoilt(rng, sent) if rng.random() < 0.3 else sent


def fuzz_grpc(running, count, seed):
    rng = random.Random(seed)
    expected = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED"}
    seen = {}
    with grpc.insecure_channel(running.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for _ in range(count):
            sent = grpc_request(rng)
            try:
                infer(sent, timeout=10)
                code, said = "OK", ""
            except grpc.RpcError as error:
                code, said = error.code().name, error.details()
            assert code in expected, (code, said, sent)
            seen[code] = seen.get(code, 0) + 1
    return seen


def test_malformed_grpc(served, caplog):
    seen = fuzz_grpc(served, 100, seed=4)
    assert seen["INVALID_ARGUMENT"] > 30
    assert not [r for r in caplog.records if r.name.startswith("simam_deploy")]


def resident() -> int:
    """Bytes of memory that this process, server and clients, holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.slow
def test_memory_stays_flat_over_a_hundred_thousand_requests(tmp_path):
    """Good ones, bad ones, and new connections; the first fifth warms up what is kept for good."""
    good, bad = body_of(X), body_of(np.zeros((1, 2, 4), np.float32))

    def ask(port, count):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for i in range(count):
            connection.request("POST", "/v2/models/double/infer", good if i % 10 else bad)
            assert connection.getresponse().read()
            if i % 500 == 0:
                connection.close()
        connection.close()

    def together(port, count):
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(ask, port, count // 4) for _ in range(4)]:
                done.result()

    with serving({"double": graphs.double(tmp_path)}, max_delay_us=0) as running:
        together(running.server.http_port, 20_000)
        before = resident()
        together(running.server.http_port, 80_000)
        grown = resident() - before
    assert grown < 4 << 20, f"{grown} bytes more"
