"""What requests may take together: places in the queue, memory, time; whoever sends them."""

import contextlib
import io
import json
import os
import signal
import socket
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from simam_deploy.serve.http import app, writing
from simam_deploy.serve.http.codec import MOST_HERE
from simam_deploy.serve.protocol import raw
from simam_deploy.source.samples.picture_inputs import PictureInputs
from tests.serve import graphs
from tests.serve.http.test_connection import error_of, one_answer, request, status_of
from tests.serve.running import PATIENCE, serving, until
from tests.serve.test_lifecycle import X, body_of

CLASSIFY = "/v2/models/attentive/classify"


def png(width=8, height=8):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def slow_decoder(monkeypatch):
    """Pictures are decoded when the test says so; yields that."""
    go = threading.Event()
    read = PictureInputs.read

    def wait_and_read(self, file, name):
        assert go.wait(PATIENCE)
        return read(self, file, name)

    monkeypatch.setattr(PictureInputs, "read", wait_and_read)
    yield go
    go.set()


class Asked(threading.Thread):
    """A request that another thread waits for the answer of."""

    def __init__(self, running, path, body):
        super().__init__()
        self.given = running, path, body
        self.start()

    def run(self):
        running, path, body = self.given
        self.answer = running.request("POST", path, body)

    def status(self):
        self.join(PATIENCE)
        return self.answer[0]


def test_pictures_that_wait_for_the_decoder_are_in_the_queue(slow_decoder, tmp_path):
    """Two places: they are taken by whom the decoder works for or will, not by the model alone."""
    with serving({"attentive": graphs.attentive(tmp_path)}, max_queue=2) as running:
        batcher = running.server.repository.get("attentive").batcher
        taken = [Asked(running, CLASSIFY, png()) for _ in range(2)]
        until(lambda: batcher.waiting == 2)
        status, said, headers = running.request("POST", CLASSIFY, png())
        assert (status, headers["retry-after"]) == (503, "1")
        assert "queue of 2 requests is full" in said["error"]
        metrics = running.request("GET", "/metrics")[1]
        assert 'pending_request_count{model="attentive",version="1"} 2.0' in str(metrics)
        slow_decoder.set()
        assert [each.status() for each in taken] == [200, 200]
        until(lambda: batcher.waiting == 0)
        assert running.request("POST", CLASSIFY, png())[0] == 200


def test_the_time_of_a_request_runs_while_its_picture_waits(slow_decoder, tmp_path):
    with serving({"attentive": graphs.attentive(tmp_path)}, timeout=0.3) as running:
        status, said, _ = running.request("POST", CLASSIFY, png())
        assert (status, said["error"]) == (504, "no result within 0.3 s")
        until(lambda: running.server.repository.room.held == 0)
        slow_decoder.set()
        until(lambda: running.request("POST", CLASSIFY, png())[0] == 200)


def test_a_picture_that_was_accepted_is_answered_at_the_end(slow_decoder, tmp_path):
    with serving({"attentive": graphs.attentive(tmp_path)}) as running:
        batcher = running.server.repository.get("attentive").batcher
        taken = [Asked(running, CLASSIFY, png()) for _ in range(3)]
        until(lambda: batcher.waiting == 3)
        running.stop()
        until(lambda: running.server.repository.draining)
        slow_decoder.set()
        assert [each.status() for each in taken] == [200] * 3


def test_a_client_that_goes_away_takes_its_picture_along(slow_decoder, tmp_path):
    with serving({"attentive": graphs.attentive(tmp_path)}) as running:
        batcher = running.server.repository.get("attentive").batcher
        with connection(running) as sock:
            sock.sendall(request(png(), CLASSIFY))
            until(lambda: batcher.waiting == 1)
        until(lambda: batcher.waiting == 0)
        until(lambda: running.server.repository.room.held == 0)
        slow_decoder.set()


def chunk(kind, content):
    whole = kind + content
    return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))


def strip(width, height):
    """A black PNG of any size, of a few bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((width + 1) * height), 9)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_strip_is_not_scaled_up_to_gigabytes(tmp_path):
    """Its short side, scaled to 8 pixels, would have the long one at 40 million: 2.5 GB."""
    path = graphs.attentive(tmp_path)
    with serving({"attentive": path}) as running:
        status, said, _ = running.request("POST", CLASSIFY, strip(5_000_000, 1))
        assert status == 400
        assert "1 x 5000000 would be scaled to 8 x 40000000: it is too narrow" in said["error"]


@contextlib.contextmanager
def connection(running):
    with socket.create_connection(("127.0.0.1", running.server.http_port), timeout=10) as sock:
        yield sock


def test_bodies_have_a_bound_together_from_their_first_byte_to_the_answer(tmp_path):
    """Of 100,000 bytes the first holds 60,000, though it has not even come whole."""
    with serving({"double": graphs.double(tmp_path)}, max_buffered=100_000) as running:
        room = running.server.repository.room
        body = body_of(X) + b" " * 60_000
        with connection(running) as first, connection(running) as second:
            first.sendall(request(body)[:-10])
            until(lambda: room.held > 50_000)
            second.sendall(request(length=len(body)))
            answer = one_answer(second)
            assert status_of(answer) == 503
            assert "bytes, 100000 is the limit" in error_of(answer)
            first.sendall(request(body)[-10:])
            assert status_of(one_answer(first)) == 200
            until(lambda: room.held == 0)


def test_a_body_beyond_what_all_may_hold_is_too_large(tmp_path):
    with serving({"double": graphs.double(tmp_path)}, max_buffered=1000) as running:
        status, said, _ = running.request("POST", "/v2/models/double/infer", bytes(2000))
        assert (status, said["error"]) == (413, "a body of 2000 bytes, 1000 is the limit")


def long_json(rows=1):
    """A request of the model `double` that is read by another process."""
    return body_of(np.repeat(X, rows, 0)) + b" " * MOST_HERE


def test_long_json_is_read_by_another_process(tmp_path, monkeypatch):
    """Parsers in C keep the interpreter's lock: a thread would hold up the event loop as well."""

    def here(*given):
        raise AssertionError("read in the server's process")

    with serving({"double": graphs.double(tmp_path)}) as running:
        monkeypatch.setattr(app, "read_query", here)
        status, said, _ = running.request("POST", "/v2/models/double/infer", long_json())
        assert status == 200, said
        assert said["outputs"][0]["data"] == (2 * X).reshape(-1).tolist()
        spoilt = long_json().replace(b"[[[0.0", b"[[[nul")
        status, said, _ = running.request("POST", "/v2/models/double/infer", spoilt)
        assert status == 400
        assert "failed to parse the request JSON" in said["error"]


def test_health_is_answered_while_json_is_read(tmp_path, monkeypatch):
    """The process that reads is stopped; the server is not."""
    with serving({"double": graphs.double(tmp_path)}, max_queue=2) as running:
        assert running.request("POST", "/v2/models/double/infer", long_json())[0] == 200
        child = running.server.repository.helper._process.pid
        os.kill(child, signal.SIGSTOP)
        try:
            taken = [Asked(running, "/v2/models/double/infer", long_json()) for _ in range(2)]
            batcher = running.server.repository.get("double").batcher
            until(lambda: batcher.waiting == 2)
            assert running.request("GET", "/v2/health/live")[0] == 200
            assert running.request("POST", "/v2/models/double/infer", body_of(X))[0] == 503
        finally:
            os.kill(child, signal.SIGCONT)
        assert [each.status() for each in taken] == [200, 200]
        assert running.request("POST", "/v2/models/double/infer", body_of(X))[0] == 200


def test_the_time_of_a_request_runs_while_its_json_is_read(tmp_path):
    """What reads it is ended then, and started anew for who comes next."""
    with serving({"double": graphs.double(tmp_path)}, timeout=5.0) as running:
        assert running.request("POST", "/v2/models/double/infer", long_json())[0] == 200
        child = running.server.repository.helper._process
        os.kill(child.pid, signal.SIGSTOP)
        status, said, _ = running.request("POST", "/v2/models/double/infer", long_json())
        assert (status, said["error"]) == (504, "no result within 5 s")
        assert running.request("POST", "/v2/models/double/infer", long_json())[0] == 200
        until(lambda: child.poll() is not None)


@pytest.mark.slow
def test_json_that_takes_gigabytes_to_read_is_refused(tmp_path):
    """11 million empty lists in 32 MiB would take 1 GB."""
    lists = b'{"inputs":[{"name":"x","shape":[1,3,4],"datatype":"FP32","data":['
    body = lists + b",".join([b"[]"] * 11_000_000) + b"]}]}"
    with serving({"double": graphs.double(tmp_path)}) as running:
        status, said, _ = running.request("POST", "/v2/models/double/infer", body)
        assert status == 413
        assert "too many lists and numbers: send them binary" in said["error"]
        assert running.request("POST", "/v2/models/double/infer", long_json())[0] == 200


def test_a_document_for_the_repository_is_not_long(tmp_path):
    with serving({"double": graphs.double(tmp_path)}) as running:
        body = b"{}" + b" " * MOST_HERE
        status, said, _ = running.request("POST", "/v2/repository/index", body)
        assert status == 413
        assert f"{MOST_HERE} is the limit here" in said["error"]


def asks(binary):
    """A request of 48 bytes for the 40,000 of its answer, of which JSON may take 160,000."""
    shape = {"name": "size", "shape": [2], "datatype": "INT64", "data": [100, 100]}
    document = {"inputs": [shape], "parameters": {"binary_data_output": binary}}
    return json.dumps(document).encode()


@pytest.mark.parametrize(("binary", "size"), [(True, 40_000), (False, 160_000)])
def test_an_answer_is_bounded_before_it_is_made(binary, size, tmp_path):
    path = "/v2/models/grows/infer"
    with serving({"grows": graphs.grows(tmp_path)}, max_buffered=size - 1) as running:
        status, said, _ = running.request("POST", path, asks(binary))
        assert (status, said["error"]) == (
            413, f"an answer of {size} bytes, {size - 1} is the limit"
        )  # fmt: skip
        until(lambda: running.server.repository.room.held == 0)
    with serving({"grows": graphs.grows(tmp_path)}, max_buffered=size + 500) as running:
        assert running.request("POST", path, asks(binary))[0] == 200
        running.server.repository.room.held += 1000
        status, said, _ = running.request("POST", path, asks(binary))
        assert status == 503
        running.server.repository.room.held -= 1000
        until(lambda: running.server.repository.room.held == 0)


def test_a_long_answer_is_written_by_another_thread_and_whole(tmp_path, monkeypatch):
    """A step of JSON is 16,384 numbers, and NaN lies in the second; of raw bytes it is 10,000."""
    threads = []
    monkeypatch.setattr(raw, "MOST_COPIED", 10_000)
    write = writing.Answer.write
    monkeypatch.setattr(
        writing.Answer,
        "write",
        lambda answer: (threads.append(threading.get_ident()), write(answer))[1],
    )
    x = np.random.default_rng(0).standard_normal((200, 100)).astype(np.float32)
    x[180, 3] = np.nan
    binary = {"name": "x", "shape": [200, 100], "datatype": "FP32",
              "parameters": {"binary_data_size": x.nbytes}}  # fmt: skip
    head = json.dumps({"inputs": [binary]}).encode()
    with serving({"anything": graphs.anything(tmp_path)}, max_batch_size=256) as running:
        fields = {"Inference-Header-Content-Length": str(len(head))}
        status, said, _ = running.request(
            "POST", "/v2/models/anything/infer", head + x.tobytes(), fields
        )
        assert status == 200, said
        answered = np.array(said["outputs"][0]["data"], np.float32).reshape(200, 100)
        assert np.array_equal(answered, x, equal_nan=True)
        both = json.dumps({"inputs": [binary], "parameters": {"binary_data_output": True}}).encode()
        fields = {"Inference-Header-Content-Length": str(len(both))}
        status, said, _ = running.request(
            "POST", "/v2/models/anything/infer", both + x.tobytes(), fields
        )
        assert said.endswith(x.tobytes())
        assert len(threads) == 2
        assert running.loop._thread_id not in threads
