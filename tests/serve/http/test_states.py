"""Every state of a connection ends: what costs a slot costs it for a bounded time."""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import threading
import time

import numpy as np
import pytest
import trustme

from simam_deploy.serve.http import connection as guards
from tests.serve import graphs
from tests.serve.gated import held
from tests.serve.http.test_connection import (
    GOOD,
    connection,
    error_of,
    everything,
    one_answer,
    request,
    status_of,
)
from tests.serve.running import PATIENCE, serving, until
from tests.serve.test_lifecycle import X, body_of

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
DOCUMENT = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""Its answer has 40 KB."""
SHORT = {"header_timeout": 0.4, "body_timeout": 0.4, "max_connections": 6}


def uvloop_run(main):
    return pytest.importorskip("uvloop").run(main)


@pytest.fixture(scope="module", params=[asyncio.run, uvloop_run], ids=["asyncio", "uvloop"])
def loop(request):
    return request.param


@pytest.fixture(scope="module")
def short(tmp_path_factory, loop):
    folder = tmp_path_factory.mktemp("short")
    with serving({"double": graphs.double(folder)}, run_loop=loop, **SHORT) as running:
        yield running


def slots(running):
    return len(running.server._http.server_state.connections)


def statuses(answers):
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", answers)]


def test_a_lone_line_end_does_not_stop_the_clock_of_the_header(short):
    """One held its slot for good: a client with as many as there are locked everybody out."""
    with contextlib.ExitStack() as stack:
        for _ in range(SHORT["max_connections"]):
            sock = stack.enter_context(connection(short))
            sock.sendall(b"\r\n")
        until(lambda: slots(short) == SHORT["max_connections"])
        until(lambda: not slots(short))
        assert status_of(everything(sock)) == 408
        assert short.request("GET", "/v2/health/live")[0] == 200


def test_line_ends_do_not_keep_an_idle_connection(short, monkeypatch):
    monkeypatch.setattr(guards, "KEEP_ALIVE", 0.4)
    with connection(short) as sock:
        sock.sendall(LIVE)
        assert status_of(one_answer(sock)) == 200
        begun = time.monotonic()
        sock.settimeout(0.05)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while time.monotonic() - begun < PATIENCE:
                sock.sendall(b"\r\n")
                with contextlib.suppress(TimeoutError):
                    assert sock.recv(100) == b""
                    break
        assert time.monotonic() - begun < PATIENCE
        until(lambda: not slots(short))


def test_an_idle_connection_has_the_time_of_a_header_for_its_next_request(short):
    """The first clock of the connection is not the second request's."""
    with connection(short) as sock:
        for _ in range(4):
            sock.sendall(LIVE)
            assert status_of(one_answer(sock)) == 200
            time.sleep(0.25)


def unread(running, sent):
    """A client that sends, and never reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", running.server.http_port))
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.send(sent)
    return sock


def test_a_client_that_never_reads_is_hung_up_on(short):
    sockets = [unread(short, DOCUMENT * 1000) for _ in range(SHORT["max_connections"])]
    until(lambda: slots(short) == SHORT["max_connections"])
    until(lambda: not slots(short))
    until(lambda: not short.in_flight)
    assert short.request("GET", "/v2/health/live")[0] == 200
    for sock in sockets:
        sock.close()


def test_the_last_answer_of_a_client_that_never_reads_is_hung_up_on(short, monkeypatch):
    """It is written, and the connection closed but for that: 8 MB stay."""
    kept = [
        unread(
            short, DOCUMENT * 200 + DOCUMENT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
    ]
    until(lambda: slots(short))
    until(lambda: not slots(short))
    kept[0].close()


def test_a_client_that_reads_slowly_gets_all_of_it(short):
    """64 KiB buy a second: 0.4 s are over many times."""
    count = 60
    with connection(short) as sock:
        sock.settimeout(PATIENCE)
        sock.sendall(DOCUMENT * (count - 1))
        sock.sendall(DOCUMENT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        got, begun = bytearray(), time.monotonic()
        while part := sock.recv(100_000):
            got += part
            time.sleep(0.05)
    assert statuses(got) == [200] * count
    assert time.monotonic() - begun > 2 * SHORT["body_timeout"]


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def certified(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "chain.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return {"certificate": folder / "chain.pem", "private_key": folder / "key.pem"}


@pytest.fixture(scope="module")
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


def asked(running, context, sent=LIVE):
    with connection(running) as plain:
        plain.settimeout(PATIENCE)
        with context.wrap_socket(plain, server_hostname="localhost") as sock:
            sock.sendall(sent)
            return one_answer(sock)


@pytest.mark.parametrize("sent", [b"", HALF_A_HELLO], ids=["nothing", "half a hello"])
def test_half_a_handshake_has_a_slot_for_a_while(sent, loop, certified, trusting, tmp_path):
    path = graphs.double(tmp_path)
    with (
        serving({"double": path}, run_loop=loop, **SHORT, **certified) as running,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(SHORT["max_connections"]):
            stack.enter_context(connection(running)).sendall(sent)
        until(lambda: slots(running) == SHORT["max_connections"])
        until(lambda: not slots(running))
        assert status_of(asked(running, trusting)) == 200


def test_handshakes_are_counted_from_the_accept(loop, certified, trusting, tmp_path):
    """One more is told so; from twice as many on they are hung up on."""
    path = graphs.double(tmp_path)
    settings = {**SHORT, "header_timeout": PATIENCE}
    with (
        serving({"double": path}, run_loop=loop, **settings, **certified) as running,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(SHORT["max_connections"]):
            stack.enter_context(connection(running)).sendall(HALF_A_HELLO)
        until(lambda: slots(running) == SHORT["max_connections"])
        answer = asked(running, trusting)
        assert (status_of(answer), error_of(answer)) == (503, "too many connections")
        until(lambda: slots(running) == SHORT["max_connections"])
        for _ in range(SHORT["max_connections"]):
            stack.enter_context(connection(running)).sendall(HALF_A_HELLO)
        until(lambda: slots(running) == 2 * SHORT["max_connections"])
        with connection(running) as sock, contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""
        assert slots(running) == 2 * SHORT["max_connections"]
        stack.close()
        until(lambda: not slots(running))


def test_half_a_handshake_does_not_hold_up_the_end(loop, certified, tmp_path, caplog):
    path = graphs.double(tmp_path)
    patient = {"header_timeout": 4 * PATIENCE, "drain_timeout": 4 * PATIENCE}
    stack = contextlib.ExitStack()
    with stack, serving({"double": path}, run_loop=loop, **patient, **certified) as running:
        for _ in range(20):
            stack.enter_context(connection(running)).sendall(HALF_A_HELLO)
        until(lambda: slots(running) == 20)
    assert not caplog.records


def test_an_answer_over_tls_that_is_larger_than_a_piece(loop, certified, trusting, tmp_path):
    with serving({"grows": graphs.grows(tmp_path)}, run_loop=loop, **certified) as running:
        size = {"name": "size", "shape": [2], "datatype": "INT64", "data": [1000, 700]}
        body = json.dumps({"inputs": [size], "parameters": {"binary_data_output": True}}).encode()
        answer = asked(running, trusting, request(body, "/v2/models/grows/infer"))
        assert answer.endswith(np.ones(700_000, np.float32).tobytes())


def busy(folder, loop, **settings):
    return serving({"double": graphs.double(folder)}, run_loop=loop, **settings)


SPOILT = {
    "header too long": b"GET /v2 HTTP/1.1\r\nX: " + b"x" * 140_000,
    "no http": b"\0" * 100,
    "no url": b"GET http://[ HTTP/1.1\r\n\r\n",
    "half a body": request(body_of(X))[:-20],
    "half a header": b"GET /v2 HTTP/1.1\r\nHost:",
    "no chunk": (
        b"POST /v2/models/double/infer HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=list(SPOILT))
@pytest.mark.parametrize("good", [1, 3])
def test_what_was_asked_before_it_is_answered_whatever_follows(good, spoilt, loop, gate, tmp_path):
    """It is still being computed when the rest comes."""
    with busy(tmp_path, loop, header_timeout=0.4, body_timeout=0.4) as running:
        with connection(running) as sock:
            sock.settimeout(PATIENCE)
            with held(gate.opened[0]) as begun:
                sock.sendall(GOOD * good + spoilt)
                until(begun)
                time.sleep(0.2)
            answers = everything(sock)
        got = statuses(answers)
        assert got[:good] == [200] * good
        assert len(got) == good + 1
        assert got[-1] in (400, 408, 431)
        until(lambda: not running.in_flight)
        assert gate.opened[0].runs - 2 <= good + 1


def test_a_header_behind_a_long_body_is_not_taken_for_a_long_one(loop, tmp_path):
    """Its first bytes come in one read with 98 KB of the body before it."""
    body = body_of(X) + b" " * 98_000
    whole = request(body)
    with busy(tmp_path, loop) as running, connection(running) as sock:
        sock.settimeout(PATIENCE)
        for cut in (20, 60, len(whole) - 1):
            sock.sendall(whole + whole[:cut])
            time.sleep(0.05)
            sock.sendall(whole[cut:])
            got = b""
            while got.count(b"]}]}") < 2:  # their ends
                got += sock.recv(65536)
            assert statuses(got) == [200, 200]


def test_five_thousand_at_once_are_all_answered(loop, tmp_path):
    with busy(tmp_path, loop) as running, connection(running) as sock:
        sock.settimeout(PATIENCE)
        sender = threading.Thread(target=sock.sendall, args=(LIVE * 5000,))
        sender.start()
        got = bytearray()
        while got.count(b"200 OK") < 5000:
            part = sock.recv(1 << 16)
            assert part
            got += part
        sender.join(PATIENCE)


def test_a_refusal_is_read_by_a_client_that_is_still_sending(loop, tmp_path):
    """Were it hung up on, it might see a reset, and never the answer."""
    with busy(tmp_path, loop, max_body=100_000) as running, connection(running) as sock:
        sock.settimeout(PATIENCE)
        body = bytes(3 << 20)
        sock.sendall(request(body, extra="Connection: close\r\n"))
        assert statuses(everything(sock)) == [413]


def test_the_end_does_not_wait_longer_than_it_may(loop, gate, tmp_path, caplog):
    """For one that computes, one that never reads, one that stopped in its body and one idle."""
    with contextlib.ExitStack() as stack, busy(tmp_path, loop, drain_timeout=0.5) as running:
        idle = stack.enter_context(connection(running))
        idle.sendall(LIVE)
        one_answer(idle)
        half = stack.enter_context(connection(running))
        half.sendall(GOOD[:-20])
        stack.callback(unread(running, DOCUMENT * 1000).close)
        until(lambda: running.in_flight == 2)
        with held(gate.opened[0]) as begun:
            computing = stack.enter_context(connection(running))
            computing.sendall(GOOD)
            until(begun)
            ended = time.monotonic()
            running.stop()
            until(lambda: not slots(running))
            until(lambda: not running.in_flight)
            assert time.monotonic() - ended < PATIENCE
        assert everything(idle) == b""
    assert not caplog.records
