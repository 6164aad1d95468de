"""What requests may take together: places in the queue, memory, time; whoever sends them."""

import contextlib
import io
import socket
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

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
