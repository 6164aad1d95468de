"""tritonclient, unchanged but for `Reading`: HTTP and gRPC, sync and asyncio, over every route."""

import asyncio
import gc
import socket
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.grpc.aio as over_grpc_aio
import tritonclient.http as over_http
import tritonclient.http.aio as over_http_aio
from tritonclient.utils import InferenceServerException

from simam_deploy.serve.protocol.datatypes import DTYPES
from tests.serve import graphs

KINDS = ("http", "http.aio", "grpc", "grpc.aio")
MODULES = dict(zip(KINDS, (over_http, over_http_aio, over_grpc, over_grpc_aio), strict=True))


class Reading(over_http_aio.InferenceServerClient):
    """Reads every reply to its end before anything else.

    tritonclient's own takes the status of `is_model_ready` and leaves the body. Where that comes a
    moment after its head, as on a busy machine, the connection stays open until it is collected,
    and aiohttp warns of it in whichever test runs then.
    """

    async def _get(self, *args, **options):
        return await self._whole(await super()._get(*args, **options))

    async def _post(self, *args, **options):
        return await self._whole(await super()._post(*args, **options))

    async def _whole(self, response):
        await response.read()
        return response


class Client:
    """One face for the four clients: every call returns its result."""

    def __init__(self, kind, served):
        self.kind = kind
        self.opened = Reading if kind == "http.aio" else MODULES[kind].InferenceServerClient
        self.plain = over_grpc if "grpc" in kind else over_http
        self.url = served.grpc if "grpc" in kind else served.http

    def call(self, name, *args, **options):
        if self.kind.endswith("aio"):
            return asyncio.run(self._call(name, *args, **options))
        with self.opened(self.url) as client:
            return getattr(client, name)(*args, **options)

    async def _call(self, name, *args, **options):
        async with self.opened(self.url) as client:
            return await getattr(client, name)(*args, **options)

    def document(self, name, *args):
        """The result as a dictionary: gRPC's as_json leaves nothing else to differ."""
        options = {"as_json": True} if "grpc" in self.kind else {}
        return self.call(name, *args, **options)

    def input(self, name, array, datatype, binary=True):
        tensor = self.plain.InferInput(name, list(array.shape), datatype)
        options = {} if "grpc" in self.kind else {"binary_data": binary}
        tensor.set_data_from_numpy(array, **options)
        return tensor

    def output(self, name, binary=True):
        options = {} if "grpc" in self.kind else {"binary_data": binary}
        return self.plain.InferRequestedOutput(name, **options)


@pytest.fixture(params=KINDS)
def client(request, served):
    return Client(request.param, served)


def x(rows=1):
    return np.arange(rows * 12, dtype=np.float32).reshape(rows, 3, 4)


def test_health_and_server_metadata(client):
    assert client.call("is_server_live")
    assert client.call("is_server_ready")
    assert client.call("is_model_ready", "double")
    assert client.call("is_model_ready", "double", "1")
    said = client.document("get_server_metadata")
    assert said["name"] == "simam-serve"
    assert "binary_tensor_data" in said["extensions"]


def test_a_model_that_is_not_there_is_not_ready(client):
    assert not client.call("is_model_ready", "nobody")


def test_a_reply_whose_body_comes_late_leaves_no_connection_open(monkeypatch):
    """What `leaves_nothing_open` would blame this test for, seen here by the test itself."""

    def answer():
        accepted, _ = listening.accept()
        with accepted:
            accepted.recv(65536)
            accepted.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n")
            time.sleep(0.2)
            accepted.sendall(b"{}")

    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", lambda about: complaints.append(about.exc_value))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=answer)
        server.start()
        url = "{}:{}".format(*listening.getsockname())
        client = Client("http.aio", SimpleNamespace(http=url))
        assert not client.call("is_model_ready", "nobody")
        server.join()
    gc.collect()
    assert complaints == []


def test_model_metadata(client):
    said = client.document("get_model_metadata", "double")
    assert said["name"] == "double"
    assert said["versions"] == ["1"]
    assert said["platform"] == "onnxruntime_onnx"
    (given,) = said["inputs"]
    assert (given["name"], given["datatype"]) == ("x", "FP32")
    assert [int(d) for d in given["shape"]] == [-1, 3, 4]
    assert [t["name"] for t in said["outputs"]] == ["y", "total"]


def test_model_config(client):
    said = client.document("get_model_config", "double")
    config = said.get("config", said)
    assert config["max_batch_size"] == 8
    assert [int(d) for d in config["input"][0]["dims"]] == [3, 4]
    assert config["input"][0]["data_type"] == "TYPE_FP32"
    assert "dynamic_batching" in config


@pytest.mark.parametrize("name", ["mixes", "fixed"])
def test_config_of_a_model_whose_requests_share_no_batch(client, name):
    said = client.document("get_model_config", name)
    config = said.get("config", said)
    assert config.get("max_batch_size", 0) == 0
    assert "dynamic_batching" not in config


def test_statistics_count_what_was_asked(client):
    def counts():
        (entry,) = client.document("get_inference_statistics", "free")["model_stats"]
        stats = entry.get("inference_stats", {})
        done = int(stats.get("success", {}).get("count", 0))
        return done, int(entry.get("inference_count", 0))

    before = counts()
    array = np.ones((3, 1, 2, 2), np.float32)
    client.call("infer", "free", [client.input("x", array, "FP32")])
    after = counts()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 3)


def test_statistics_of_all(client):
    listed = client.document("get_inference_statistics")["model_stats"]
    assert {"double", "two"} <= {entry["name"] for entry in listed}


def test_repository_index(client):
    said = client.document("get_model_repository_index")
    entries = said["models"] if "grpc" in client.kind else said
    states = {entry["name"]: entry["state"] for entry in entries}
    assert states["double"] == "READY"


@pytest.mark.parametrize("datatype", graphs.TYPES)
def test_every_datatype_comes_back_as_it_went(client, datatype):
    dtype = DTYPES[datatype]
    if dtype.kind == "b":
        array = np.array([[True, False]])
    elif dtype.kind == "f":
        array = np.array([[np.finfo(dtype).max, -0.1]], dtype)
    else:
        array = np.array([[np.iinfo(dtype).min, np.iinfo(dtype).max]], dtype)
    name = f"type_{datatype.lower()}"
    result = client.call("infer", name, [client.input("x", array, datatype)])
    answer = result.as_numpy("y")
    assert answer.dtype == dtype
    assert np.array_equal(answer, array)


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_binary_and_json(client, binary_in, binary_out):
    result = client.call(
        "infer", "double", [client.input("x", x(2), "FP32", binary_in)],
        outputs=[client.output("y", binary_out), client.output("total", not binary_out)],
    )  # fmt: skip
    assert np.array_equal(result.as_numpy("y"), 2 * x(2))
    assert np.array_equal(result.as_numpy("total").ravel(), x(2).sum((1, 2)))


@pytest.mark.parametrize("binary_a", [True, False])
@pytest.mark.parametrize("binary_b", [True, False])
def test_two_inputs_each_its_own_way(client, binary_a, binary_b):
    a, b = np.array([[1.5, 2]], np.float32), np.array([[3, 2**40]])
    inputs = [client.input("b", b, "INT64", binary_b), client.input("a", a, "FP32", binary_a)]
    result = client.call("infer", "two", inputs)
    assert np.allclose(result.as_numpy("s"), a + b)
    assert np.array_equal(result.as_numpy("p"), a.astype(np.int64) * b)


def test_requested_output_alone_and_the_id_comes_back(client):
    result = client.call(
        "infer", "double", [client.input("x", x(), "FP32")],
        outputs=[client.output("total")], request_id="mine",
    )  # fmt: skip
    response = result.get_response()
    response = response if isinstance(response, dict) else over_grpc_json(response)
    assert [o["name"] for o in response["outputs"]] == ["total"]
    assert response["id"] == "mine"
    assert response["model_version"] == "1"


def over_grpc_json(message):
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, preserving_proto_field_name=True)


def test_a_version(client):
    inputs = [client.input("x", x(), "FP32")]
    result = client.call("infer", "double", inputs, model_version="1")
    assert np.array_equal(result.as_numpy("y"), 2 * x())


NOT_FOUND = ("404", "StatusCode.NOT_FOUND")
BAD = ("400", "StatusCode.INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("model", "name", "array", "datatype", "options", "status", "says"),
    [
        ("nobody", "x", x(), "FP32", {}, NOT_FOUND, "unknown model"),
        ("double", "x", x(), "FP32", {"model_version": "2"}, NOT_FOUND, "version"),
        ("double", "z", x(), "FP32", {}, BAD, "unexpected inference input 'z'"),
        ("double", "x", x()[:, :2], "FP32", {}, BAD, "expected [-1, 3, 4]"),
        ("double", "x", x()[0], "FP32", {}, BAD, "unexpected shape"),
        ("double", "x", x().astype("f8"), "FP64", {}, BAD, "expects 'FP32'"),
        ("double", "x", x().astype("O").astype("S"), "BYTES", {}, BAD, "expects 'FP32'"),
        ("double", "x", x(9), "FP32", {}, BAD, "must be <= 8"),
        ("two", "a", np.ones((1, 2), np.float32), "FP32", {}, BAD, "misses inputs: b"),
        ("fixed", "x", np.ones((1, 2), np.float32), "FP32", {}, BAD, "expected [2, 2]"),
        ("picky", "index", np.array([4]), "INT64", {}, ("500", "StatusCode.INTERNAL"), "failed"),
        ("slow", "rounds", np.array([20]), "INT64", {"timeout": 20_000},
         ("504", "StatusCode.DEADLINE_EXCEEDED"), "no result within 0.02 s"),
    ],
)  # fmt: skip
def test_errors(client, model, name, array, datatype, options, status, says):
    with pytest.raises(InferenceServerException) as raised:
        client.call("infer", model, [client.input(name, array, datatype)], **options)
    assert raised.value.status() == status["grpc" in client.kind]
    assert says in raised.value.message()


def test_an_output_that_the_model_has_not(client):
    with pytest.raises(InferenceServerException, match="unexpected inference output 'z'"):
        client.call(
            "infer", "double", [client.input("x", x(), "FP32")], outputs=[client.output("z")]
        )


def test_an_output_asked_for_twice(client):
    """Each copy would be made: 181 KB of one name were an answer of 822 MB."""
    outputs = [client.output(name) for name in ("y", "total", "y")]
    with pytest.raises(InferenceServerException, match="'y' is requested more than once") as raised:
        client.call("infer", "double", [client.input("x", x(), "FP32")], outputs=outputs)
    assert raised.value.status() == BAD["grpc" in client.kind]


def test_rows_of_a_model_that_mixes_them_are_never_put_together(client):
    array = np.array([[1, 2], [3, 6]], np.float32)
    result = client.call("infer", "mixes", [client.input("x", array, "FP32")])
    assert np.array_equal(result.as_numpy("y"), array - array.mean(0))


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_async_infer_of_the_sync_clients(kind, served):
    module = MODULES[kind]
    client = Client(kind, served)
    inputs = [client.input("x", x(), "FP32")]
    with module.InferenceServerClient(client.url) as face:
        if kind == "http":
            result = face.async_infer("double", inputs).get_result()
        else:
            import queue

            done = queue.Queue()
            face.async_infer("double", inputs, lambda result, error: done.put((result, error)))
            result, error = done.get(timeout=30)
            assert error is None
    assert np.array_equal(result.as_numpy("y"), 2 * x())


def test_typed_contents_over_grpc(served):
    """tritonclient always sends raw bytes; others send typed lists."""
    import grpc
    from tritonclient.grpc import service_pb2 as pb

    request = pb.ModelInferRequest(model_name="two")
    for name, datatype in (("a", "FP32"), ("b", "INT64")):
        request.inputs.add(name=name, datatype=datatype, shape=[1, 2])
    request.inputs[0].contents.fp32_contents.extend([1.5, 2])
    request.inputs[1].contents.int64_contents.extend([3, 4])
    with grpc.insecure_channel(served.grpc) as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        answer = infer(request)
        request.inputs[1].contents.int64_contents.append(5)
        with pytest.raises(grpc.RpcError, match="3 values in int64_contents"):
            infer(request)
    assert np.array_equal(np.frombuffer(answer.raw_output_contents[0], "f4"), [4.5, 6])
