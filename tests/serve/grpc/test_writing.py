"""Answers whose raw tensors protobuf does not write."""

import threading

import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from simam_deploy.serve.grpc import codec
from simam_deploy.serve.grpc.wire import raw_output
from simam_deploy.serve.protocol import raw
from simam_deploy.serve.protocol.check import Port
from simam_deploy.serve.protocol.exchange import Query, Wanted
from tests.serve import graphs
from tests.serve.grpc.test_reading import call, infer_request
from tests.serve.running import serving
from tests.serve.test_lifecycle import X


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_a_raw_tensor_is_as_protobuf_writes_it(size):
    content = bytes(size)
    whole = pb.ModelInferResponse(raw_output_contents=[content]).SerializeToString()
    assert raw_output(size) + content == whole


def test_an_answer_is_what_protobuf_reads(monkeypatch):
    """In steps of 64 bytes: columns of a larger array, and an empty one, in the order asked for."""
    monkeypatch.setattr(raw, "MOST_COPIED", 64)
    table = np.arange(600, dtype=np.float32).reshape(30, 20)
    outputs = {"a": table[:, 3:7], "b": np.zeros((0, 2), np.int64), "c": table.astype(np.float64)}
    ports = {
        name: Port(name, datatype, array.dtype, array.shape)
        for (name, array), datatype in zip(outputs.items(), ["FP32", "INT64", "FP64"], strict=True)
    }
    query = Query({}, [Wanted(name, True) for name in "cab"], True, "id")
    answer = pb.ModelInferResponse.FromString(codec.write_answer("net", "3", query, outputs, ports))
    assert (answer.model_name, answer.model_version, answer.id) == ("net", "3", "id")
    for name, told, content in zip("cab", answer.outputs, answer.raw_output_contents, strict=True):
        assert (told.name, told.datatype) == (name, ports[name].datatype)
        found = np.frombuffer(content, ports[name].dtype).reshape(told.shape)
        assert np.array_equal(found, outputs[name])


def test_a_long_answer_is_written_by_another_thread(tmp_path, monkeypatch):
    threads = []
    write = codec.write_answer
    monkeypatch.setattr(
        codec,
        "write_answer",
        lambda *given: (threads.append(threading.get_ident()), write(*given))[1],
    )
    with serving({"double": graphs.double(tmp_path)}) as running:
        call(running, "ModelInfer", infer_request())
        assert threads == [running.loop._thread_id]
        monkeypatch.setattr(raw, "MOST_COPIED", X.nbytes)
        content = call(running, "ModelInfer", infer_request(2))
        assert len(set(threads)) == 2
    answer = pb.ModelInferResponse.FromString(content)
    assert np.array_equal(
        np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(2, 3, 4),
        2 * np.repeat(X, 2, 0),
    )
