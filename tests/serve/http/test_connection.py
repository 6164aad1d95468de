"""The guards of a connection: caps, timeouts, limits, bytes that are no HTTP."""

import contextlib
import json
import queue
import socket
import time

import numpy as np
import pytest
import tritonclient.grpc as over_grpc
from tritonclient.utils import InferenceServerException

from simam_deploy.serve.http.wire import Wire
from simam_deploy.serve.models import model
from tests.serve import graphs
from tests.serve.gated import Gate, held
from tests.serve.running import serving, until
from tests.serve.test_lifecycle import X, body_of


@pytest.fixture(scope="module")
def gate():
    """Of the models of this module, which can be held: how long one computes no machine settles."""
    gate = Gate()
    gate.opening.set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "open_runners", gate.open_runners)
        yield gate


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, gate):
    folder = tmp_path_factory.mktemp("guarded")
    sources = {"double": graphs.double(folder), "slow": graphs.slow(folder)}
    limits = {"header_timeout": 0.4, "body_timeout": 0.4, "max_connections": 6}
    with serving(sources, max_body=100_000, max_queue=2, **limits) as running:
        yield running


@pytest.fixture
def slow(guarded, gate):
    """The runner of the model `slow`."""
    (runner,) = (runner for runner in gate.opened if runner.file.stem == "slow")
    return runner


@contextlib.contextmanager
def connection(running):
    with socket.create_connection(("127.0.0.1", running.server.http_port), timeout=10) as sock:
        yield sock


def everything(sock) -> bytes:
    """What comes until the server hangs up."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            parts.append(part)
    return b"".join(parts)


def one_answer(sock) -> bytes:
    """What comes, until the announced length is there."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += sock.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    (length,) = (
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


def request(body=b"", path="/v2/models/double/infer", extra="", length=None):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{extra}"
    size = len(body) if length is None else length
    return f"{head}Content-Length: {size}\r\n\r\n".encode() + body


GOOD = request(body_of(X))
ONE_ROUND = request(body_of(np.array([1]), "rounds", "INT64"), "/v2/models/slow/infer")
SOON = 8
"""Seconds that 0.3 may take beside other work; by default a header has 10 and a body 20."""


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def error_of(answer: bytes) -> str:
    return json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_nothing_sent_is_hung_up_on(guarded):
    with connection(guarded) as sock:
        started = time.monotonic()
        assert status_of(everything(sock)) == 408
        assert 0.3 < time.monotonic() - started < SOON


@pytest.mark.parametrize("sent", [b"POST ", b"POST /v2 HTTP/1.1\r\nHost:", GOOD[:40]])
def test_half_a_header_is_hung_up_on_however_slowly_it_grows(guarded, sent):
    with connection(guarded) as sock:
        sock.sendall(sent)
        started = time.monotonic()
        sock.settimeout(0.1)
        answer = b""
        while not answer:
            with contextlib.suppress(TimeoutError):
                answer = sock.recv(65536)
            if not answer and time.monotonic() - started < 0.35:
                sock.sendall(b"x")
        assert status_of(answer) == 408
        assert time.monotonic() - started < SOON


def test_half_a_body_is_hung_up_on(guarded):
    with connection(guarded) as sock:
        sock.sendall(GOOD[:-20])
        started = time.monotonic()
        answer = everything(sock)
        assert time.monotonic() - started < SOON
        assert status_of(answer) == 408
        assert "did not arrive in time" in error_of(answer)
    until(lambda: not guarded.in_flight)


def test_a_body_that_comes_on_gets_more_time(guarded):
    """64 KiB buy a second: 0.7 s are over the 0.4 s that a stalled body has."""
    body = body_of(X) + b" " * 70_000
    with connection(guarded) as sock:
        sock.sendall(request(body)[:66_000])
        time.sleep(0.7)
        sock.sendall(request(body)[66_000:])
        assert status_of(one_answer(sock)) == 200


def test_a_client_that_hangs_up_in_its_body_leaves_nothing_behind(guarded):
    for cut in (1, len(GOOD) // 2, len(GOOD) - 1):
        with connection(guarded) as sock:
            sock.sendall(GOOD[:cut])
    until(lambda: not guarded.server._http.server_state.connections)
    until(lambda: not guarded.in_flight)
    assert guarded.server.repository.room.held == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit(guarded, chunked):
    """Announced, it is refused before a byte of it came; chunked, when the limit is passed."""
    with connection(guarded) as sock:
        if chunked:
            head = b"POST /v2/models/double/infer HTTP/1.1\r\nHost: localhost\r\n"
            sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            sock.sendall((b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 4)
        else:
            sock.sendall(request(length=2**40))
        answer = one_answer(sock)
    assert status_of(answer) == 413
    assert "100000 is the limit" in error_of(answer)


def test_what_is_refused_is_not_listened_to_for_long(guarded):
    """A client that pours its terabyte in after the 413 gets no second answer, and the end."""
    with connection(guarded) as sock:
        sock.sendall(request(length=2**40))
        answer = one_answer(sock)
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while time.monotonic() - started < 2 * SOON:
                sock.sendall(b" " * 65536)
        assert time.monotonic() - started < SOON
        assert answer.count(b"HTTP/1.1") == 1
        assert everything(sock) == b""


def test_half_a_second_request_does_not_end_the_first(guarded, slow):
    """The first is computed for longer than a header may take."""
    with connection(guarded) as sock:
        with held(slow) as begun:
            sock.sendall(ONE_ROUND + b"GET /v2 HTTP/1.1\r\nHost:")
            until(begun)
            time.sleep(2 * guarded.server.repository.settings.header_timeout)
        assert status_of(one_answer(sock)) == 200
        assert status_of(everything(sock)) == 408


def test_a_header_beyond_the_limit(guarded):
    with connection(guarded) as sock:
        sock.sendall(b"GET /v2 HTTP/1.1\r\n" + b"X-Long: " + b"x" * 70_000)
        assert status_of(everything(sock)) == 431


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v2 HTTP/9.9\r\n\r\n",
        b"POST /v2/models/double/infer HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v2/models/double/infer HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nBad Name: x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_400_in_the_protocols_form(guarded, sent):
    with connection(guarded) as sock:
        sock.sendall(sent)
        answer = everything(sock)
    assert status_of(answer) in (400, 408)
    assert error_of(answer)


def test_connections_over_the_cap_are_refused_and_the_others_go_on(guarded):
    with contextlib.ExitStack() as stack:
        inside = [stack.enter_context(connection(guarded)) for _ in range(6)]
        for sock in inside:
            sock.sendall(GOOD)
            assert status_of(one_answer(sock)) == 200
        outside = stack.enter_context(connection(guarded))
        outside.sendall(GOOD)
        answer = everything(outside)
        assert status_of(answer) == 503
        assert b"retry-after: 1\r\n" in answer
        assert error_of(answer) == "too many connections"
        inside[0].sendall(GOOD)
        assert status_of(one_answer(inside[0])) == 200
    until(lambda: not guarded.server._http.server_state.connections)
    with connection(guarded) as sock:
        sock.sendall(GOOD)
        assert status_of(one_answer(sock)) == 200


@contextlib.contextmanager
def full_queue(guarded, slow):
    """One request is computed and two wait, which are answered in the end."""
    batcher = guarded.server.repository.get("slow").batcher
    with contextlib.ExitStack() as stack:
        first, *waiting = [stack.enter_context(connection(guarded)) for _ in range(3)]
        with held(slow) as begun:
            first.sendall(ONE_ROUND)
            until(begun)
            for sock in waiting:
                sock.sendall(ONE_ROUND)
            until(lambda: batcher.queued == 2)
            yield
        for sock in (first, *waiting):
            assert status_of(one_answer(sock)) == 200


def test_a_full_queue_is_told_before_the_body_is_read(guarded, slow):
    """Of the fourth request only the header is sent; the answer is there all the same."""
    with full_queue(guarded, slow), connection(guarded) as late:
        late.sendall(request(length=50_000, path="/v2/models/slow/infer"))
        answer = one_answer(late)
        assert status_of(answer) == 503
        assert b"retry-after: 1\r\n" in answer
        assert "queue of 2 requests is full" in error_of(answer)


def test_a_full_queue_and_a_call_that_is_given_up_over_grpc(guarded, slow):
    """Two wait, a third is refused; one of the two gives up and makes room."""
    batcher = guarded.server.repository.get("slow").batcher
    tensor = over_grpc.InferInput("rounds", [1], "INT64")
    tensor.set_data_from_numpy(np.array([1]))
    answers = queue.Queue()

    def ask(client):
        return client.async_infer("slow", [tensor], lambda result, error: answers.put(error))

    with over_grpc.InferenceServerClient(guarded.grpc) as client:
        with held(slow) as begun:
            ask(client)
            until(begun)
            ask(client)
            given_up = ask(client)
            until(lambda: batcher.queued == 2)
            with pytest.raises(InferenceServerException, match="queue of 2 .* is full") as raised:
                client.infer("slow", [tensor])
            assert raised.value.status() == "StatusCode.UNAVAILABLE"
            given_up.cancel()
            until(lambda: batcher.queued == 1)
        errors = [answers.get(timeout=30) for _ in range(3)]
    assert [error is None for error in errors].count(True) == 2


def test_a_client_that_ignores_retry_after_is_not_read_for_a_while(guarded, slow):
    """Four requests, one after the other: they are refused 0.1 s apart."""
    with full_queue(guarded, slow), connection(guarded) as late:
        started = time.monotonic()
        for _ in range(4):
            late.sendall(request(path="/v2/models/slow/infer"))
            assert status_of(one_answer(late)) == 503
        assert time.monotonic() - started > 0.28


def test_answers_are_sent_at_once(guarded):
    """Nagle's algorithm holds a body back for 40 ms, until the client acknowledges the header."""
    with connection(guarded) as sock:
        sock.sendall(GOOD)
        one_answer(sock)
        accepted = list(guarded.server._http.server_state.connections)
        taken = [each.transport.get_extra_info("socket") for each in accepted]
        assert taken
        assert all(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for s in taken)


def test_pipelined_requests_are_answered_in_order(guarded):
    with connection(guarded) as sock:
        sock.sendall(GOOD + b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answers = everything(sock)
    first, _, second = answers.partition(b"HTTP/1.1 200 OK")[2].partition(b"HTTP/1.1 200 OK")
    assert b'"outputs"' in first
    assert b'"extensions"' in second


def test_an_answer_goes_out_with_its_header(guarded, monkeypatch):
    """A client is woken once; uvicorn writes the two one after the other."""
    written = []
    write = Wire.write
    monkeypatch.setattr(Wire, "write", lambda wire, data: (written.append(data), write(wire, data)))
    assert guarded.request("POST", "/v2/models/double/infer", body_of(X))[0] == 200
    (whole,) = written
    assert whole.startswith(b"HTTP/1.1 200") and whole.endswith(b"}")


@pytest.mark.parametrize(("path", "status"), [("/v2/health/live", 200), ("/v2/models/none", 404)])
def test_a_header_that_nothing_follows_goes_out(guarded, path, status):
    with connection(guarded) as sock:
        sock.sendall(b"HEAD %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 %d" % status)


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(guarded):
    body = body_of(X)
    with connection(guarded) as sock:
        sock.sendall(
            b"POST /v2/models/double/infer HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert one_answer(sock).startswith(b"HTTP/1.1 200")
