"""Load on a server that is real sockets and misbehaves to order."""

import asyncio
import contextlib

import grpc
import pytest

pytest.importorskip("httptools", reason="needs the extra `serve`")
pytest.importorskip("tritonclient.grpc", reason="needs the extra `serve`")

from simam_deploy.errors import InputError, UsageError
from simam_deploy.report.load_text import load_table
from simam_deploy.serve.load import Plan, run_load
from simam_deploy.serve.load.grpc_client import GrpcClient, GrpcWire
from simam_deploy.serve.load.http_client import HttpClient
from simam_deploy.serve.load.target import find_target
from tests.serve.load.stub import Stub, start_grpc, start_http
from tests.serve.running import PATIENCE

START = {"http": start_http, "grpc": start_grpc}
BRIEF = Plan(seconds=0.5, clients=4)
both = pytest.mark.parametrize("scheme", ["http", "grpc"])


def load(stub, scheme="http", plan=BRIEF, **options):
    with stub.running(START[scheme]) as port:
        return run_load(f"{scheme}://127.0.0.1:{port}", plan, **options)


@both
def test_a_closed_loop_counts_every_request_and_sends_what_the_metadata_ask_for(scheme):
    stub = Stub(delay=0.002)
    report = load(stub, scheme, Plan(seconds=0.5, clients=4, batch=3))
    assert stub.wrong == []
    assert {len(body) for body in stub.bodies} == {3 * 3 * 8 * 8 * 4}
    assert report.answered == stub.count - 4  # one a connection warmed it
    assert report.errors == {}
    assert report.goodput == pytest.approx(report.answered / report.seconds)
    # One at a time, 2 ms each, four in line: never under 2 ms, and half of them near 8.
    assert report.latency_ms["p50"] > 6
    assert list(report.latency_ms) == ["p50", "p90", "p95", "p99", "max"]
    assert sorted(report.latency_ms.values()) == list(report.latency_ms.values())


def test_the_seed_decides_the_inputs():
    def bodies(seed):
        stub = Stub()
        load(stub, plan=Plan(seconds=0.1, clients=1, seed=seed))
        return stub.bodies

    assert bodies(1) == bodies(1)
    assert len(bodies(1)) == 1
    assert bodies(1) != bodies(2)


def test_an_open_loop_keeps_its_rate():
    stub = Stub()
    report = load(stub, plan=Plan(seconds=1.0, clients=4, rate=200))
    assert report.answered + report.unsent == 200
    assert report.answered > 150  # all of them, where the machine has nothing else to do
    assert report.seconds > 0.95


def test_an_open_loop_sees_the_wait_that_a_closed_loop_hides():
    """One request of 0.5 s among those of 1 ms: a fifth of the 2 s of arrivals waited for it."""
    closed = load(Stub(stall_at=50, stall=0.5, delay=1e-3), plan=Plan(seconds=2.0, clients=1))
    opened = load(
        Stub(stall_at=50, stall=0.5, delay=1e-3), plan=Plan(seconds=2.0, clients=1, rate=100)
    )
    assert closed.latency_ms["max"] > 450
    assert closed.latency_ms["p95"] < 50
    assert opened.latency_ms["p90"] > 200
    assert opened.latency_ms["max"] > 450


def test_what_was_due_and_never_sent_is_counted():
    stub = Stub(delay=0.02)  # 50 a second, and 200 are asked for
    report = load(stub, plan=Plan(seconds=1.0, clients=2, rate=200))
    assert report.answered + report.unsent == 200
    assert report.unsent > 100
    assert report.latency_ms["max"] > 500


def test_rejected_requests_are_errors_and_no_latency():
    report = load(Stub(status=503))
    assert set(report.errors) == {"503"}
    assert report.messages == {"503": "busy"}
    assert report.errors["503"] == pytest.approx(report.answered, abs=5)
    assert "x 503: busy" in load_table(report)


def test_grpc_errors_have_their_names():
    report = load(Stub(status=503), "grpc")
    assert set(report.errors) == {"RESOURCE_EXHAUSTED"}
    assert report.messages == {"RESOURCE_EXHAUSTED": "busy"}


@pytest.mark.parametrize("status", ["hang up", "garbage"])
def test_a_lost_connection_is_an_error_and_made_anew(status):
    stub = Stub(status=status)
    report = load(stub)
    assert set(report.errors) == {"connection lost"}
    # Every second request is lost, none of the others: an old connection's end harms no new one.
    assert report.errors["connection lost"] == pytest.approx(report.answered, abs=5)


@pytest.mark.parametrize(
    ("scheme", "status", "counts"),
    # The stub does not see an HTTP client go: whoever comes after the first waits behind it too.
    [("http", "timeout", {2, 3, 4}), ("grpc", "DEADLINE_EXCEEDED", {1})],
)
def test_a_timeout_is_an_error(scheme, status, counts):
    stub = Stub(stall_at=2, stall=1.0)
    report = load(stub, scheme, Plan(seconds=0.5, clients=1, timeout=0.2))
    assert set(report.errors) == {status}
    assert report.errors[status] in counts


@both
def test_the_token_is_sent(scheme):
    assert load(Stub(token="t"), scheme, model="m", token="t").answered > 0
    with pytest.raises(InputError, match="401|UNAUTHENTICATED"):
        load(Stub(token="t"), scheme, model="m")


@both
def test_no_server(scheme):
    with pytest.raises(InputError, match=f"{scheme}://127.0.0.1:9: (not connected|UNAVAILABLE)"):
        run_load(f"{scheme}://127.0.0.1:9", BRIEF, model="m")


@both
def test_an_unknown_model(scheme):
    with pytest.raises(InputError, match="404|NOT_FOUND"):
        load(Stub(), scheme, model="other/../m")


@pytest.mark.parametrize(("models", "says"), [([], "no model"), (["a", "b"], "a, b: name one")])
def test_which_model(models, says):
    stub = Stub()
    stub.models = models
    with pytest.raises(UsageError, match=says):
        load(stub)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([{"name": "input"}], "no V2 metadata"),
        ([{"name": "input", "datatype": "BYTES", "shape": [-1]}], "input is BYTES"),
        ("nonsense", "no V2 metadata"),
    ],
)
def test_metadata_that_cannot_be_used(inputs, says):
    stub = Stub()
    stub.inputs = inputs
    with pytest.raises(InputError, match=says):
        load(stub)


def test_a_question_that_is_cut_off_hangs_up():
    """Ctrl-C while a server that never answers is asked for its models."""

    async def scenario():
        heard, hung_up = asyncio.Event(), asyncio.Event()

        async def silent(reader, writer):
            await reader.read(1)
            heard.set()
            with contextlib.suppress(ConnectionError):
                while await reader.read(65536):
                    pass
            hung_up.set()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        target = find_target("http://{}:{}".format(*server.sockets[0].getsockname()))
        await cut_off(HttpClient(target, PATIENCE, None), heard)
        await asyncio.wait_for(hung_up.wait(), PATIENCE)
        server.close()
        await server.wait_closed()

    asyncio.run(scenario())


def test_a_question_that_is_cut_off_closes_its_channel(monkeypatch):
    """gRPC's own end of a connection comes 20 s later: here the call just never returns."""
    asked = []

    async def scenario():
        heard = asyncio.Event()

        async def send(wire):
            asked.append(wire)
            heard.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(GrpcWire, "send", send)
        await cut_off(GrpcClient(find_target("grpc://127.0.0.1:9"), PATIENCE, None), heard)
        (wire,) = asked
        assert wire._channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN

    asyncio.run(scenario())


async def cut_off(client, heard):
    asking = asyncio.ensure_future(client.models())
    await heard.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
