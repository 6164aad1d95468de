"""What a call may take before, while and after its message comes in."""

import asyncio
import contextlib
import os
import queue
import signal
import threading

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from simam_deploy.serve.grpc import reading
from simam_deploy.serve.grpc.reading import Reading
from simam_deploy.serve.grpc.service import MOST_HERE, codec
from simam_deploy.serve.protocol.refusals import TimedOut
from tests.serve import graphs
from tests.serve.running import PATIENCE, serving, until
from tests.serve.test_lifecycle import X

SERVICE = "/inference.GRPCInferenceService/"
TOKEN = "a-long-secret"


def infer_request(rows=1, typed=False, model="double", names=()):
    x = np.repeat(X, rows, 0)
    message = pb.ModelInferRequest(model_name=model)
    tensor = message.inputs.add(name="x", datatype="FP32", shape=x.shape)
    if typed:
        tensor.contents.fp32_contents.extend(x.reshape(-1).tolist())
    else:
        message.raw_input_contents.append(x.tobytes())
    for name in names:
        message.outputs.add(name=name)
    return message.SerializeToString()


class Unfinished:
    """Calls whose message never comes, though gRPC waits for it."""

    def __init__(self, running, method="ModelInfer", metadata=()):
        self.end = threading.Event()
        self.channel = grpc.insecure_channel(running.grpc)
        call = self.channel.stream_unary(SERVICE + method)
        self.ended = queue.Queue()
        future = call.future(self._messages(), metadata=metadata)
        future.add_done_callback(self.ended.put)

    def _messages(self):
        self.end.wait(PATIENCE)
        return
        yield

    def code(self):
        return self.ended.get(timeout=PATIENCE).code().name

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.end.set()
        self.channel.close()


def call(running, method, content, **named):
    with grpc.insecure_channel(running.grpc) as channel:
        return channel.unary_unary(SERVICE + method)(content, timeout=PATIENCE, **named)


def refusal(running, method, content, **named):
    with pytest.raises(grpc.RpcError) as raised:
        call(running, method, content, **named)
    return raised.value.code().name, raised.value.details()


def test_the_token_is_looked_at_before_the_message_is_taken_in(tmp_path):
    """The message never comes; the answer is there all the same."""
    with serving({"double": graphs.double(tmp_path)}, token=TOKEN) as running:
        with Unfinished(running) as without:
            assert without.code() == "UNAUTHENTICATED"
        assert call(running, "ServerLive", b"")
        right = (("authorization", f"Bearer {TOKEN}"),)
        assert call(running, "ModelInfer", infer_request(), metadata=right)


def test_a_message_that_never_comes_is_waited_for_as_long_as_a_request_may_take(tmp_path):
    with serving({"double": graphs.double(tmp_path)}, timeout=0.3) as running:
        with Unfinished(running) as slow:
            assert slow.code() == "DEADLINE_EXCEEDED"
        assert call(running, "ModelInfer", infer_request())


def test_messages_that_never_come_do_not_keep_others_out(tmp_path, monkeypatch):
    """They have all the places; those who wait for one get it after a second, not a minute."""
    monkeypatch.setattr(reading, "PATIENCE", 0.1)
    with (
        serving({"double": graphs.double(tmp_path)}, max_buffered=1000) as running,
        contextlib.ExitStack() as stack,
    ):
        slow = [stack.enter_context(Unfinished(running)) for _ in range(2 * reading.LEAST)]
        assert call(running, "ServerLive", b"")
        for _ in range(reading.LEAST):
            assert call(
                running, "ModelReady", pb.ModelReadyRequest(name="double").SerializeToString()
            )
        assert "DEADLINE_EXCEEDED" in {each.code() for each in slow[:2]}


def test_a_call_without_a_message(served):
    with grpc.insecure_channel(served.grpc) as channel:
        for method in ("ModelInfer", "ModelReady"):
            with pytest.raises(grpc.RpcError, match="ended without a message"):
                channel.stream_unary(SERVICE + method)(iter(()), timeout=PATIENCE)


class Call:
    """Stands for gRPC's context, of which only the message is asked."""

    def __init__(self):
        self.came = asyncio.Event()

    async def read(self):
        await self.came.wait()
        return b"it"


def test_who_waits_for_a_place_gets_it_in_turn_and_who_goes_away_leaves_none_behind():
    async def play():
        all_of_them = Reading(1, PATIENCE)
        calls = [Call() for _ in range(4)]
        tasks = [asyncio.create_task(all_of_them.read(each)) for each in calls]
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        calls[0].came.set()
        calls[2].came.set()
        calls[3].came.set()
        return await asyncio.gather(*tasks, return_exceptions=True), all_of_them

    answers, all_of_them = asyncio.run(play())
    assert isinstance(answers.pop(1), asyncio.CancelledError)
    assert answers == [b"it"] * 3
    assert (list(all_of_them._messages), list(all_of_them._waiting)) == ([], [])


def test_of_many_that_never_come_each_is_given_up_in_the_end(monkeypatch):
    monkeypatch.setattr(reading, "PATIENCE", 0.01)

    async def play():
        all_of_them = Reading(2, PATIENCE)
        tasks = [asyncio.create_task(all_of_them.read(Call())) for _ in range(20)]
        await asyncio.wait(tasks[:-2], timeout=PATIENCE)
        came = Call()
        came.came.set()
        assert await all_of_them.read(came) == b"it"
        tasks[-1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    ends = [type(end) for end in asyncio.run(play())]
    assert ends[:18] == [TimedOut] * 18
    assert TimedOut in ends[18:]


def test_between_one_that_went_and_the_next_there_is_none_to_give_up():
    """400 calls at once were told of an internal error."""
    Reading(1, PATIENCE)._give_one_up()


def test_a_message_has_its_time_alone(monkeypatch):
    monkeypatch.setattr(reading, "PATIENCE", 0.01)

    async def play():
        all_of_them = Reading(1, 0.3)
        begun = asyncio.get_running_loop().time()
        with pytest.raises(TimedOut):
            await all_of_them.read(Call())
        return asyncio.get_running_loop().time() - begun

    assert asyncio.run(play()) > 0.25


def test_many_typed_numbers_are_read_by_another_process(tmp_path, monkeypatch):
    """Raw ones, of any length, are used as they lie."""
    rows = MOST_HERE // X.nbytes + 100
    with serving({"double": graphs.double(tmp_path)}, max_batch_size=2 * rows) as running:
        raw = pb.ModelInferResponse.FromString(call(running, "ModelInfer", infer_request(rows)))
        assert running.server.repository.helper._process is None
        monkeypatch.setattr(codec, "read_query", None)  # of this process
        typed = call(running, "ModelInfer", infer_request(rows, typed=True, names=["y"]))
        answer = pb.ModelInferResponse.FromString(typed)
        assert answer.raw_output_contents[0] == raw.raw_output_contents[0]
        assert [output.name for output in answer.outputs] == ["y"]


def test_the_time_of_a_call_runs_while_its_numbers_are_read(tmp_path):
    rows = MOST_HERE // X.nbytes + 100
    sent = infer_request(rows, typed=True)
    with serving({"double": graphs.double(tmp_path)}, max_batch_size=rows, timeout=5.0) as running:
        assert call(running, "ModelInfer", sent)
        os.kill(running.server.repository.helper._process.pid, signal.SIGSTOP)
        assert refusal(running, "ModelInfer", sent) == (
            "DEADLINE_EXCEEDED", "no result within 5 s"
        )  # fmt: skip
        assert call(running, "ModelInfer", sent)


def test_only_a_request_is_long(served):
    name = pb.ModelReadyRequest(name="x" * MOST_HERE).SerializeToString()
    code, said = refusal(served, "ModelReady", name)
    assert (code, f"{MOST_HERE} is the limit here" in said) == ("RESOURCE_EXHAUSTED", True)


def test_messages_and_answers_have_a_bound_together(tmp_path):
    small, large = infer_request(), infer_request(7)
    most = len(small) + 2 * X.nbytes
    with serving({"double": graphs.double(tmp_path)}, max_buffered=most) as running:
        room = running.server.repository.room
        assert call(running, "ModelInfer", small)
        assert refusal(running, "ModelInfer", large)[0] == "RESOURCE_EXHAUSTED"
        room.held += 100
        assert refusal(running, "ModelInfer", small)[0] == "UNAVAILABLE"
        room.held -= 100
        until(lambda: room.held == 0)
        code, said = refusal(running, "ModelInfer", infer_request(2))
        assert (code, "the limit" in said) == ("UNAVAILABLE", True)
        until(lambda: room.held == 0)


@pytest.mark.parametrize(
    "spoilt",
    [b"\x08\x01", b"\x0a\x05abc", b"\x0a", b"\xff" * 11, b"\x2a\x00" * 5000],
    ids=["no length", "cut off", "no more", "endless number", "too many fields"],
)
def test_what_is_no_request(served, spoilt):
    """Behind a raw tensor, which makes it one that is taken apart first."""
    raw = pb.ModelInferRequest(raw_input_contents=[bytes(MOST_HERE)]).SerializeToString()
    code, said = refusal(served, "ModelInfer", raw + spoilt)
    assert (code, "is no ModelInferRequest" in said) == ("INVALID_ARGUMENT", True)
