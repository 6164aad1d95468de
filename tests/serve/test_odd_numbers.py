"""Numbers that JSON or NumPy does not have: they come back as they went, whichever way."""

import json

import ml_dtypes
import numpy as np
import onnx
import orjson
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

from simam_deploy.serve.http.numbers import dumped, loads
from tests.serve import graphs
from tests.serve.running import serving

ODD = [[float("nan"), float("inf")], [float("-inf"), -0.0], [1.5, float("nan")]]
INFER = "POST", "/v2/models/type_{}/infer"


def written(array):
    return orjson.dumps({"data": dumped(array)}, option=orjson.OPT_SERIALIZE_NUMPY)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_as_triton_writes_them(dtype):
    array = np.array(ODD, dtype)
    assert written(array) == b'{"data":[NaN,Infinity,-Infinity,-0.0,1.5,NaN]}'
    assert written(np.array([[1, 2.5]], dtype)) == b'{"data":[1.0,2.5]}'
    assert written(np.full((2, 1), np.inf, dtype)) == b'{"data":[Infinity,Infinity]}'
    assert written(np.zeros((0, 3), dtype)) == b'{"data":[]}'


def test_text_that_looks_like_them_is_left():
    """Names may hold the words; numbers and the end of the document decide."""
    assert loads(b'{"id": "NaN, Infinity", "data": [NaN]}')["id"] == "NaN, Infinity"
    assert loads(memoryview(b'{"id": "NaN"}')) == {"id": "NaN"}


@pytest.mark.parametrize(
    "text",
    [
        b"[NaN",
        b"[nan]",
        b"[+Infinity]",
        b"[NaNa]",
        b'"NaN" {',
        b"[NaN] \xff",
        "[NaN]".encode("utf-16"),
        b"NaN" + b"[" * 1_000_000,
        b"[" * 1_000_000 + b"NaN",
    ],
)
def test_what_is_no_document(text):
    with pytest.raises(orjson.JSONDecodeError):
        loads(text)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_json_in_and_out(served, datatype):
    tensor = {"name": "x", "shape": [3, 2], "datatype": datatype, "data": ODD}
    body = json.dumps({"inputs": [tensor]}).encode()
    status, said, _ = served.request(INFER[0], INFER[1].format(datatype.lower()), body)
    assert status == 200
    np.testing.assert_array_equal(said["outputs"][0]["data"], np.ravel(ODD))


@pytest.mark.parametrize("datatype", ["INT64", "UINT8", "BOOL"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_integers_have_none(served, datatype, number):
    tensor = f'"name": "x", "shape": [1, 2], "datatype": "{datatype}", "data": [1, {number}]'
    body = f'{{"inputs": [{{{tensor}}}]}}'.encode()
    status, said, _ = served.request(INFER[0], INFER[1].format(datatype.lower()), body)
    assert status == 400
    assert f"not {datatype} throughout" in said["error"]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_tritonclient_reads_what_it_is_told(served, binary_in, binary_out):
    array = np.array(ODD, np.float32)
    tensor = over_http.InferInput("x", array.shape, "FP32")
    tensor.set_data_from_numpy(array, binary_data=binary_in)
    wanted = over_http.InferRequestedOutput("y", binary_data=binary_out)
    with over_http.InferenceServerClient(served.http) as client:
        got = client.infer("type_fp32", [tensor], outputs=[wanted]).as_numpy("y")
    np.testing.assert_array_equal(got, array)


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    """bfloat16 as it comes, and as float32."""
    path = graphs.write(tmp_path_factory.mktemp("brain"), "brain", """
        g (bfloat16[batch, 2] x) => (bfloat16[batch, 2] y, float[batch, 2] f)
        { y = Identity(x)  f = Cast<to = 1>(x) }""")  # fmt: skip
    assert onnx.load(path).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16
    with serving({"brain": path}) as running:
        yield running


BRAIN = np.array([[1.5, -3.0], [np.inf, 2.0**100]], ml_dtypes.bfloat16)


def test_bfloat16_as_bytes_over_http(brain):
    metadata = brain.request("GET", "/v2/models/brain")[1]
    assert metadata["inputs"] == [{"name": "x", "datatype": "BF16", "shape": [-1, 2]}]
    assert brain.request("GET", "/v2/models/brain/config")[1]["max_batch_size"] == 8
    sent = BRAIN.tobytes()
    tensor = {"name": "x", "shape": [2, 2], "datatype": "BF16"}
    document = {"inputs": [{**tensor, "parameters": {"binary_data_size": len(sent)}}],
                "parameters": {"binary_data_output": True}}  # fmt: skip
    head = json.dumps(document).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    status, said, got = brain.request(INFER[0], "/v2/models/brain/infer", head + sent, length)
    assert status == 200
    end = int(got["inference-header-content-length"])
    assert said[end : end + 8] == sent
    np.testing.assert_array_equal(
        np.frombuffer(said[end + 8 :], np.float32), BRAIN.astype(np.float32).ravel()
    )
    entries = json.loads(said[:end])["outputs"]
    assert [(e["datatype"], e["parameters"]["binary_data_size"]) for e in entries] == [
        ("BF16", 8), ("FP32", 16)
    ]  # fmt: skip


def test_bfloat16_as_numbers(brain):
    tensor = {"name": "x", "shape": [2, 2], "datatype": "BF16", "data": BRAIN.tolist()}
    body = json.dumps({"inputs": [tensor]}).encode()
    status, said, _ = brain.request(INFER[0], "/v2/models/brain/infer", body)
    assert status == 200
    for output in said["outputs"]:
        given = np.array(output["data"], np.float32)  # its shortest decimal form, as orjson writes
        np.testing.assert_array_equal(given, BRAIN.astype(np.float32).ravel())


def test_bfloat16_over_grpc(brain):
    tensor = over_grpc.InferInput("x", BRAIN.shape, "BF16")
    tensor._raw_content = BRAIN.tobytes()  # its own way asks for another type by version
    with over_grpc.InferenceServerClient(brain.grpc) as client:
        result = client.infer("brain", [tensor])
    answer = result.get_response()
    assert [o.datatype for o in answer.outputs] == ["BF16", "FP32"]
    assert answer.raw_output_contents[0] == BRAIN.tobytes()
    np.testing.assert_array_equal(result.as_numpy("f"), BRAIN.astype(np.float32))
