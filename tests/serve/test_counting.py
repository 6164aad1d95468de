"""Every request counts once, by what it was answered, whoever asks and however it ends."""

import asyncio
import contextlib
import http.client
import json

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.serve import graphs
from tests.serve.gated import held
from tests.serve.running import PATIENCE, serving, until
from tests.serve.test_lifecycle import X, body_of

PATH = "/v2/models/double/infer"
INFER = "/inference.GRPCInferenceService/ModelInfer"


def message(microseconds=0):
    request = pb.ModelInferRequest(model_name="double")
    request.inputs.add(name="x", datatype="FP32", shape=X.shape)
    request.raw_input_contents.append(X.tobytes())
    if microseconds:
        request.parameters["timeout"].int64_param = microseconds
    return request.SerializeToString()


def http_timeout(running, computing):
    document = {**json.loads(body_of(X)), "parameters": {"timeout": 50_000}}
    assert running.request("POST", PATH, json.dumps(document).encode())[0] == 504


def http_gone(running, computing):
    connection = http.client.HTTPConnection(running.http)
    with contextlib.closing(connection):
        connection.request("POST", PATH, body_of(X))
        until(computing)


def grpc_refused(running, code, content, timeout=None):
    with grpc.insecure_channel(running.grpc) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(INFER)(content, timeout=timeout)
        assert raised.value.code() is code


def grpc_timeout(running, computing):
    grpc_refused(running, grpc.StatusCode.DEADLINE_EXCEEDED, message(50_000))


def grpc_deadline(running, computing):
    """The client's own: it goes with the call, and gRPC ends the call at both ends."""
    grpc_refused(running, grpc.StatusCode.DEADLINE_EXCEEDED, message(), timeout=2)


def grpc_gone(running, computing):
    with grpc.insecure_channel(running.grpc) as channel:
        call = channel.unary_unary(INFER).future(message())
        until(computing)
        call.cancel()


@pytest.mark.parametrize("ends", [http_timeout, http_gone, grpc_timeout, grpc_deadline, grpc_gone])
def test_a_request_without_an_answer_is_a_failure_and_no_success(ends, gate, tmp_path):
    """Its batch is computed all the same, after the request ended."""
    with serving({"double": graphs.double(tmp_path)}) as running:
        statistics = running.server.repository.get("double").statistics
        with held(gate.opened[0]) as computing:
            ends(running, computing)
            until(lambda: statistics.fail.count)
        assert running.request("POST", PATH, body_of(X))[0] == 200
        told = running.request("GET", "/v2/models/double/stats")[1]["model_stats"][0]
        metrics = running.request("GET", "/metrics")[1].decode()
    counts = {part: told["inference_stats"][part]["count"] for part in ("success", "fail")}
    assert counts == {"success": 1, "fail": 1}
    assert (told["inference_count"], told["execution_count"]) == (2, 2)
    label = '{model="double",version="1"}'
    assert f"nv_inference_request_success_total{label} 1.0" in metrics
    assert f"nv_inference_request_failure_total{label} 1.0" in metrics


def test_a_full_queue_is_refused_and_nothing_else(gate, tmp_path):
    """By the batcher itself: a request that came while its body was read finds no room left."""
    with serving({"double": graphs.double(tmp_path)}, max_queue=1) as running:
        model = running.server.repository.get("double")

        async def ask():
            return await asyncio.gather(
                *(model.batcher.run({"x": X + i}) for i in range(4)), return_exceptions=True
            )

        with held(gate.opened[0]):
            asked = asyncio.run_coroutine_threadsafe(ask(), running.loop)
            until(lambda: model.statistics.refused >= 2)
        ended = asked.result(PATIENCE)
    answers = [end for end in ended if not isinstance(end, Exception)]
    assert len(answers) + model.statistics.refused == 4
    assert model.statistics.success.count == len(answers)
    assert model.statistics.fail.count == 0


def test_what_was_never_accepted_is_no_failure(gate, tmp_path):
    """Too many rows is as much a bad request as a wrong name: the model was never asked."""
    with serving({"double": graphs.double(tmp_path)}) as running:
        for body in (body_of(np.ones((9, 3, 4), np.float32)), body_of(X, name="z")):
            assert running.request("POST", PATH, body)[0] == 400
        told = running.request("GET", "/v2/models/double/stats")[1]["model_stats"][0]
    assert told["inference_stats"]["fail"]["count"] == 0
