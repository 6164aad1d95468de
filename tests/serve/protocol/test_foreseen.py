"""Answers that are refused before they are computed."""

import json

import numpy as np
from tritonclient.grpc import service_pb2 as pb

from simam_deploy.core.specs import TensorSpec
from simam_deploy.serve.protocol.foreseen import named_sizes, size_of
from tests.serve import graphs
from tests.serve.grpc.test_reading import refusal
from tests.serve.running import serving, until


def spec(name, *shape):
    return TensorSpec(name, "float32", shape)


def test_what_is_named_by_no_input_is_not_known():
    inputs = [spec("a", "n", 3, "?"), spec("b", "m", "n")]
    outputs = [
        spec("row", "n", 10), spec("both", "m", "n", 2), spec("one"), spec("boxes", "k", 4),
        spec("unnamed", "n", "?"),
    ]  # fmt: skip
    sizes = named_sizes(inputs, outputs)
    assert sizes.keys() == {"row", "both", "one"}
    feeds = {"a": np.zeros((5, 3, 9)), "b": np.zeros((7, 5))}
    assert [size_of(sizes[name], feeds) for name in ("row", "both", "one")] == [50, 70, 1]


def asks(rows, wanted):
    tensor = {"name": "x", "shape": [rows, 1], "datatype": "FP32", "data": [1.0] * rows}
    outputs = [{"name": name, "parameters": {"binary_data": True}} for name in wanted]
    return json.dumps({"inputs": [tensor], "outputs": outputs}).encode()


def test_an_answer_that_has_no_room_is_not_computed(gate, tmp_path):
    """Two rows come to 80,000 bytes; of the small output there is always room."""
    path = "/v2/models/spreads/infer"
    with serving({"spreads": graphs.spreads(tmp_path)}, max_buffered=60_000) as running:
        runs, room = gate.opened[0].runs, running.server.repository.room
        status, said, _ = running.request("POST", path, asks(2, ["y", "z"]))
        assert (status, said["error"]) == (413, "an answer of 80008 bytes, 60000 is the limit")
        room.held += 30_000
        assert running.request("POST", path, asks(1, ["y"]))[0] == 503
        assert gate.opened[0].runs == runs
        assert running.request("POST", path, asks(2, ["z"]))[0] == 200
        room.held -= 30_000
        assert running.request("POST", path, asks(1, ["y", "z"]))[0] == 200
        until(lambda: room.held == 0)


def test_nor_over_grpc(gate, tmp_path):
    message = pb.ModelInferRequest(model_name="spreads")
    message.inputs.add(name="x", datatype="FP32", shape=[2, 1])
    message.raw_input_contents.append(bytes(8))
    with serving({"spreads": graphs.spreads(tmp_path)}, max_buffered=60_000) as running:
        runs = gate.opened[0].runs
        assert refusal(running, "ModelInfer", message.SerializeToString()) == (
            "RESOURCE_EXHAUSTED", "an answer of 80008 bytes, 60000 is the limit"
        )  # fmt: skip
        assert gate.opened[0].runs == runs
        until(lambda: running.server.repository.room.held == 0)
