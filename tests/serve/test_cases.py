"""Attacks on a server in a process of its own: what it takes, at the most and afterwards."""

import io
import socket
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.serve import graphs
from tests.serve.http.test_connection import everything, request
from tests.serve.running import until
from tests.serve.test_lifecycle import X, body_of, process

pytestmark = pytest.mark.slow


def megabytes(child, key):
    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def descriptors(child):
    return len(list(Path(f"/proc/{child.pid}/fd").iterdir()))


def ask(port, sent):
    """The status of one request on a connection of its own; None where it was cut off."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as sock:
        try:
            sock.sendall(sent)
            answer = everything(sock)
        except (ConnectionResetError, BrokenPipeError):
            return None
    return int(answer[9:12]) if answer else None


def ask_together(port, sent, count):
    answers = Counter()
    threads = [
        threading.Thread(target=lambda: answers.update([ask(port, sent)])) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return answers


def test_pictures_of_81_million_pixels_from_forty_clients(tmp_path):
    """2.1 GB, and 1.7 GB afterwards: bodies had no bound, and one decoder no time limit."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((9000, 9000, 3), np.uint8)).save(file, "PNG", compress_level=1)
    padded = file.getvalue() + bytes((30 << 20) - len(file.getvalue()))
    sent = request(padded, "/v2/models/attentive/classify", "Connection: close\r\n")
    with process(graphs.attentive(tmp_path), "--timeout", "5") as (child, port):
        before, opened = megabytes(child, "VmRSS"), descriptors(child)
        answers = ask_together(port, sent, 40)
        assert answers.keys() <= {200, 503, 504, None}
        assert megabytes(child, "VmHWM") < 600
        until(lambda: megabytes(child, "VmRSS") < before + 60)
        until(lambda: descriptors(child) <= opened + 2)
        assert ask(port, request(extra="Connection: close\r\n", path="/v2/repository/index")) == 200


def test_json_of_lists_in_lists_from_four_clients(tmp_path):
    """Each of 10 MB took 300 MB, and the event loop for 3 s; now another process takes them."""
    lists = b",".join([b"[]"] * 3_400_000)
    body = body_of(X).replace(b"[[[", b"[[" + lists + b",[", 1)
    sent = request(body, extra="Connection: close\r\n")
    with process(graphs.double(tmp_path)) as (child, port):
        assert ask_together(port, sent, 4) == {400: 4}
        assert megabytes(child, "VmHWM") < 300
        assert ask(port, request(body_of(X), extra="Connection: close\r\n")) == 200
