"""The HTTP routes beside the protocol: metrics, the OpenAPI document, the forms of errors."""

import json

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from simam_deploy.serve.http import routes
from tests.serve.test_lifecycle import X, body_of


def test_metrics_count_under_tritons_names(served):
    def counts():
        status, content, headers = served.request("GET", "/metrics")
        assert status == 200
        assert headers["content-type"].startswith("text/plain")
        families = text_string_to_metric_families(content.decode())
        return {
            sample.name: sample.value
            for family in families
            for sample in family.samples
            if sample.labels == {"model": "double", "version": "1"}
        }

    before = counts()
    array = np.ones((3, 3, 4), np.float32)
    assert served.request("POST", "/v2/models/double/infer", body_of(array))[0] == 200
    assert served.request("POST", "/v2/models/double/infer", b"{}")[0] == 400
    after = counts()
    grown = {name: after[name] - before[name] for name in after}
    assert grown["nv_inference_request_success_total"] == 1
    assert grown["nv_inference_count_total"] == 3
    assert grown["nv_inference_exec_count_total"] == 1
    assert grown["nv_inference_compute_infer_duration_us_total"] > 0
    assert after["nv_inference_pending_request_count"] == 0


def test_the_openapi_document_has_every_route(served):
    """Each is asked for with another method: 405 says that the path, and only it, is known."""
    document = served.request("GET", "/openapi.json")[1]
    routes = {
        (route.path, method.lower())
        for route in served.server.app._routes.routes
        for method in route.methods - {"HEAD"}
    }
    infer = {("/v2/models/{model}/infer", "post"),
             ("/v2/models/{model}/versions/{version}/infer", "post")}  # fmt: skip
    described = {(path, method) for path, item in document["paths"].items() for method in item}
    assert described == routes | infer


def test_the_openapi_document_refers_to_what_it_has(served):
    text = json.dumps(served.request("GET", "/openapi.json")[1])
    document = json.loads(text)
    for part in text.split('"$ref": "#/')[1:]:
        place = document
        for key in part.partition('"')[0].split("/"):
            place = place[key]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("GET", "/v2/", 404),
        ("DELETE", "/v2", 405),
        ("GET", "/v2/models/double/infer", 404),
        ("POST", "/v2/models/double/nope/infer", 404),
        ("POST", "/v2/repository/models/nobody/load", 404),
        ("POST", "/v2/models/..%2F..%2Fetc%2Fpasswd/infer", 404),
        ("POST", "/v2/repository/models/..%2Fdouble/load", 404),
        ("POST", "/v2/repository/models/%00/load", 404),
        ("GET", "/v2/models/%2e%2e/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "//etc/passwd", 404),
    ],
)
def test_what_is_not_there(served, method, path, status):
    got, said, _ = served.request(method, path, b"{}" if method == "POST" else b"")
    assert got == status
    assert set(said) == {"error"}


def test_load_takes_no_files_from_a_request(served):
    body = json.dumps({"parameters": {"config": "{}", "file:1/model.onnx": "AAAA"}}).encode()
    status, said, _ = served.request("POST", "/v2/repository/models/double/load", body)
    assert (status, said) == (
        415,
        {"error": "a model is loaded from its own file: no parameters are served"},
    )


INPUT = {"name": "x", "shape": [1, 3, 4], "datatype": "FP32"}
FLAT = list(range(12))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"", "failed to parse the request JSON"),
        (b"\xff", "failed to parse the request JSON"),
        (b"[" * 100_000, "failed to parse the request JSON"),
        ([], "no object"),
        ({}, "misses inputs: x"),
        ({"inputs": {}}, "'inputs' must be a list of objects"),
        ({"inputs": [3]}, "'inputs' must be a list of objects"),
        ({"inputs": [{**INPUT}]}, "neither data nor binary_data_size"),
        ({"inputs": [{**INPUT, "data": FLAT[:11]}]}, "11 values, its shape makes 12"),
        ({"inputs": [{**INPUT, "data": [[1, 2], [3]]}]}, "no regular array"),
        ({"inputs": [{**INPUT, "data": ["1"] * 12}]}, "not FP32 throughout"),
        ({"inputs": [{**INPUT, "data": [None] * 12}]}, "not FP32 throughout"),
        ({"inputs": [{**INPUT, "data": [True] * 12}]}, "not FP32 throughout"),
        ({"inputs": [{**INPUT, "data": FLAT}] * 2}, "given twice"),
        ({"inputs": [{**INPUT, "name": None, "data": FLAT}]}, "unexpected inference input None"),
        ({"inputs": [{**INPUT, "shape": [1, 3, 4.0], "data": FLAT}]}, "unexpected shape"),
        ({"inputs": [{**INPUT, "shape": [True, 3, 4], "data": FLAT}]}, "unexpected shape"),
        ({"inputs": [{**INPUT, "shape": [-1, 3, 4], "data": FLAT}]}, "unexpected shape"),
        ({"inputs": [{**INPUT, "shape": [0, 3, 4], "data": []}]}, "unexpected shape"),
        ({"inputs": [{**INPUT, "shape": [2**62, 3, 4], "data": FLAT}]}, "unexpected shape"),
        ({"inputs": [{**INPUT, "shape": "134", "data": FLAT}]}, "unexpected shape"),
        ({"inputs": [{**INPUT, "datatype": "BYTES", "data": FLAT}]}, "expects 'FP32'"),
        ({"inputs": [{**INPUT, "datatype": ["FP32"], "data": FLAT}]}, "expects 'FP32'"),
        ({"inputs": [{**INPUT, "data": FLAT}], "outputs": [{"name": "q"}]}, "inference output 'q'"),
        ({"inputs": [{**INPUT, "data": FLAT}], "id": 3}, "'id' must be a string"),
        ({"inputs": [{**INPUT, "data": FLAT}], "parameters": {"timeout": -1}}, "microseconds"),
        (
            {"inputs": [{**INPUT, "parameters": {"shared_memory_region": "r"}}]},
            "shared memory is not served",
        ),
        (
            {"inputs": [{**INPUT, "parameters": {"binary_data_size": 48}}]},
            "48 bytes were announced, 0 are there",
        ),
        (
            {"inputs": [{**INPUT, "parameters": {"binary_data_size": 2**40}}]},
            "its shape and data-type make 48",
        ),
        (
            {
                "inputs": [{**INPUT, "data": FLAT}],
                "outputs": [{"name": "y", "parameters": {"classification": 2}}],
            },
            "use /classify",
        ),
    ],
)
def test_bad_requests_say_what_is_wrong(served, document, says):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    status, said, _ = served.request("POST", "/v2/models/double/infer", body)
    assert status == 400
    assert says in said["error"]


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("UINT8", [256, 0]),
        ("UINT8", [-1, 0]),
        ("INT8", [128, 0]),
        ("INT64", [2**63, 0]),
        ("INT64", [1.5, 0]),
        ("BOOL", [1, 0]),
        ("UINT64", [2**64, 0]),
    ],
)
def test_json_numbers_that_the_datatype_has_not(served, datatype, data):
    tensor = {"name": "x", "shape": [1, 2], "datatype": datatype, "data": data}
    path = f"/v2/models/type_{datatype.lower()}/infer"
    status, said, _ = served.request("POST", path, json.dumps({"inputs": [tensor]}).encode())
    assert status == 400
    assert f"not {datatype} throughout" in said["error"]


@pytest.mark.parametrize(
    ("length", "tail", "says"),
    [
        ("200", b"", "is beyond the body"),
        ("x", b"", "must be a number"),
        ("-1", b"", "must be a number"),
        ("9" * 30, b"", "must be a number"),
        (None, b"\0" * 47, "48 bytes were announced, 47 are there"),
        (None, b"\0" * 49, "1 bytes after the last binary tensor"),
    ],
)
def test_lengths_that_contradict_each_other(served, length, tail, says):
    document = {"inputs": [{**INPUT, "parameters": {"binary_data_size": 48}}]}
    head = json.dumps(document).encode()
    headers = {"Inference-Header-Content-Length": length or str(len(head))}
    status, said, _ = served.request("POST", "/v2/models/double/infer", head + tail, headers)
    assert status == 400
    assert says in said["error"]


def test_a_compressed_body_is_refused(served):
    status, said, _ = served.request(
        "POST", "/v2/models/double/infer", body_of(X), {"Content-Encoding": "gzip"}
    )
    assert status == 415
    assert "compressed" in said["error"]


def test_nan_and_infinity_survive_binary(served):
    array = np.array([np.nan, np.inf, -np.inf] + [0] * 9, np.float32)
    document = {
        "inputs": [{**INPUT, "parameters": {"binary_data_size": 48}}],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
    }
    head = json.dumps(document).encode()
    status, content, headers = served.request(
        "POST",
        "/v2/models/double/infer",
        head + array.tobytes(),
        {"Inference-Header-Content-Length": str(len(head))},
    )
    assert status == 200
    json_length = int(headers["inference-header-content-length"])
    answer = np.frombuffer(content[json_length:], np.float32)
    assert np.array_equal(answer, 2 * array, equal_nan=True)


def test_a_fault_of_ours_is_answered_in_the_protocols_form(served, monkeypatch, caplog):
    def fail():
        raise RuntimeError("at 0x7f00")

    monkeypatch.setattr(routes.describe, "server_document", fail)
    status, said, _ = served.request("GET", "/v2")
    assert (status, said) == (500, {"error": "internal error; the server's log says more"})
    assert caplog.text.count("Traceback") == 1
