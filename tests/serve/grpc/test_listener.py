"""Which messages and connections are let in, and what changes when a model does."""

import contextlib
import socket
import threading

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from simam_deploy.serve.grpc.bounds import largest_message, largest_request
from simam_deploy.serve.settings import MIB
from tests.serve import graphs
from tests.serve.gated import held
from tests.serve.grpc.test_reading import call, infer_request, refusal
from tests.serve.running import PATIENCE, serving, until


@contextlib.contextmanager
def sized(graph, folder, **settings):
    with serving({"net": graph(folder)}, **settings) as running:
        yield running


def fixed(folder, width, name="net"):
    shape = f"float[batch, {width}]"
    return graphs.write(folder, name, f"g ({shape} x) => ({shape} y) {{ y = Identity(x) }}")


def negative(folder):
    return graphs.write(folder, "net", """
        g (int8[batch, 200000] x) => (int8[batch, 200000] y) { y = Identity(x) }""")  # fmt: skip


def sent(array, typed=False):
    kind = {"f": "FP32", "i": "INT8"}[array.dtype.kind]
    message = pb.ModelInferRequest(model_name="net")
    tensor = message.inputs.add(name="x", datatype=kind, shape=array.shape)
    if typed:
        tensor.contents.int_contents.extend(array.reshape(-1).tolist())
    else:
        message.raw_input_contents.append(array.tobytes())
    return message.SerializeToString()


def zeros(rows, width):
    return sent(np.zeros((rows, width), np.float32))


@pytest.mark.parametrize(
    ("graph", "size"),
    [
        (graphs.double, 8 * 12 * 4),
        (graphs.two_inputs, 8 * (2 * 4 + 2 * 10)),
        (graphs.fixed_batch, 2 * 2 * 4),
        (graphs.free_size, float("inf")),
        (graphs.mixes_rows, float("inf")),
    ],
)
def test_the_largest_request_follows_from_the_shapes(graph, size, tmp_path):
    """Rows are free where requests are never put together; a negative int64 takes 10 bytes."""
    with sized(graph, tmp_path, grpc_port=None, max_body=3 * MIB) as running:
        repository = running.server.repository
        assert largest_request(repository.get("net")) == size
        assert largest_message(repository) == min(size, 3 * MIB) + MIB


def test_a_message_beyond_every_model_is_refused_at_its_header(tmp_path):
    """It was taken in up to --max-body, and held the event loop up meanwhile."""
    with sized(lambda folder: fixed(folder, 100_000), tmp_path, max_batch_size=8) as running:
        assert call(running, "ModelInfer", zeros(8, 100_000))
        code, said = refusal(running, "ModelInfer", zeros(12, 100_000))
        assert (code, "larger than max" in said) == ("RESOURCE_EXHAUSTED", True)


def test_the_longest_form_of_the_largest_request_is_taken(tmp_path):
    """-1 in ten bytes: 16 MB of a tensor of 1.6."""
    with sized(negative, tmp_path) as running:
        lowest = np.full((8, 200_000), -1, np.int8)
        answer = pb.ModelInferResponse.FromString(call(running, "ModelInfer", sent(lowest, True)))
        assert answer.raw_output_contents[0] == lowest.tobytes()


def test_a_model_that_takes_more_than_before(tmp_path):
    """Another server takes the place of the one before, which answers what it has."""
    with (
        sized(lambda folder: fixed(folder, 1000), tmp_path) as running,
        grpc.insecure_channel(running.grpc) as channel,
    ):
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        assert ask(zeros(1, 1000), timeout=PATIENCE)
        fixed(tmp_path, 500_000)
        assert running.request("POST", "/v2/repository/models/net/load")[0] == 200
        assert call(running, "ModelInfer", zeros(2, 500_000))
        assert ask(zeros(2, 500_000), timeout=PATIENCE, wait_for_ready=True)
        until(lambda: len(running.server._grpc._servers) == 1)
        fixed(tmp_path, 1000)
        assert running.request("POST", "/v2/repository/models/net/load")[0] == 200
        assert len(running.server._grpc._servers) == 1
        assert call(running, "ModelInfer", zeros(1, 1000))


def test_calls_in_flight_are_answered_by_the_server_before(gate, tmp_path):
    sources = {"double": graphs.double(tmp_path), "net": fixed(tmp_path, 1000)}
    answers = []
    with serving(sources) as running:
        asker = threading.Thread(
            target=lambda: answers.append(call(running, "ModelInfer", infer_request()))
        )
        with held(gate.opened[0]) as begun:
            asker.start()
            until(begun)
            fixed(tmp_path, 500_000)
            assert running.request("POST", "/v2/repository/models/net/load")[0] == 200
            assert len(running.server._grpc._servers) == 2
            assert call(running, "ModelInfer", zeros(1, 500_000))
        asker.join(PATIENCE)
        until(lambda: len(running.server._grpc._servers) == 1)
    assert pb.ModelInferResponse.FromString(answers[0]).model_name == "double"


def test_connections_have_a_number(tmp_path):
    """From their accept on, whether they say anything or not; one more is hung up on."""
    with (
        serving({"double": graphs.double(tmp_path)}, max_connections=3) as running,
        contextlib.ExitStack() as stack,
    ):
        port = running.server.grpc_port
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(3)
        ]
        assert all(sock.recv(9) for sock in silent)  # gRPC's own first frame
        with socket.create_connection(("127.0.0.1", port)) as more:
            more.settimeout(PATIENCE)
            assert more.recv(9) == b""
        silent.pop().close()
        until(lambda: answered(running))


def answered(running):
    with contextlib.suppress(grpc.RpcError):
        return call(running, "ModelInfer", infer_request())
