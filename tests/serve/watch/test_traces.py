"""OpenTelemetry traces, as a collector receives them over OTLP."""

import gzip
import http.server
import threading

import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.serve import graphs
from tests.serve.running import serving
from tests.serve.watch.test_access import BODY

pytest.importorskip(
    "opentelemetry.sdk", reason="OpenTelemetry is missing: pip install 'simam-deploy[otel]'"
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            content = gzip.decompress(content)
        self.server.got.append((self.path, ExportTraceServiceRequest.FromString(content)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def collector():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.got = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def spans_of(collector):
    """All spans: what waits is sent when the server ends."""
    assert {path for path, _ in collector.got} == {"/v1/traces"}
    return [
        span
        for _, said in collector.got
        for resource in said.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def attributes(span):
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


def named(spans, name):
    return [span for span in spans if span.name == name]


@pytest.fixture
def traced(collector, tmp_path):
    """Spans of two requests that share a batch, one of them within a client's trace."""
    url = f"http://127.0.0.1:{collector.server_port}/"
    settings = {"traces": url, "max_delay_us": 300_000, "max_batch_size": 2}
    with serving({"double": graphs.double(tmp_path)}, **settings) as running:

        def ask(headers):
            running.request("POST", "/v2/models/double/infer", BODY, headers)

        threads = [
            threading.Thread(target=ask, args=(headers,))
            for headers in ({"traceparent": PARENT}, {})
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return spans_of(collector)


def test_a_request_goes_on_with_its_client_s_trace(traced):
    requests = named(traced, "POST /v2/models/double/infer")
    assert len(requests) == 2
    (mine,) = (span for span in requests if span.parent_span_id)
    assert mine.trace_id.hex() == PARENT.split("-")[1]
    assert mine.parent_span_id.hex() == PARENT.split("-")[2]
    said = attributes(mine)
    assert said["http.response.status_code"] == 200
    assert (said["simam.model.name"], said["simam.model.version"]) == ("double", "1")
    assert mine.kind == mine.SPAN_KIND_SERVER


def test_waiting_and_computing_lie_within_the_request(traced):
    for request in named(traced, "POST /v2/models/double/infer"):
        inside = [span for span in traced if span.parent_span_id == request.span_id]
        assert sorted(span.name for span in inside) == ["compute", "queue"]
        queue, compute = (next(s for s in inside if s.name == n) for n in ("queue", "compute"))
        times = [
            request.start_time_unix_nano, queue.start_time_unix_nano, queue.end_time_unix_nano,
            compute.start_time_unix_nano, compute.end_time_unix_nano, request.end_time_unix_nano,
        ]  # fmt: skip
        assert times == sorted(times)


def test_a_batch_is_told_once_and_linked_both_ways(traced):
    (batch,) = named(traced, "batch")
    requests = named(traced, "POST /v2/models/double/infer")
    assert {link.span_id for link in batch.links} == {span.span_id for span in requests}
    assert not batch.parent_span_id
    assert batch.trace_id not in {span.trace_id for span in requests}
    assert attributes(batch) == {"simam.batch.rows": 2, "simam.batch.requests": 2}
    for compute in named(traced, "compute"):
        assert [link.span_id for link in compute.links] == [batch.span_id]
        assert attributes(compute) == {"simam.rows": 1, "simam.batch.rows": 2}


def test_calls_over_grpc_are_traced_and_our_faults_are_errors(collector, tmp_path):
    url = f"http://127.0.0.1:{collector.server_port}"
    log = tmp_path / "log"
    sources = {"double": graphs.double(tmp_path)}
    with (
        serving(sources, traces=url, access_log=str(log)) as running,
        triton.InferenceServerClient(running.grpc) as client,
    ):
        given = triton.InferInput("x", [2, 3, 4], "FP32")
        given.set_data_from_numpy(np.ones((2, 3, 4), np.float32))
        client.infer("double", [given], headers={"traceparent": PARENT})
        with pytest.raises(Exception, match="unknown model"):
            client.infer("nobody", [given])
    good, bad = named(spans_of(collector), "inference.GRPCInferenceService/ModelInfer")
    assert good.trace_id.hex() == PARENT.split("-")[1]
    assert attributes(good)["rpc.grpc.status"] == "OK"
    assert attributes(bad)["rpc.grpc.status"] == "NOT_FOUND"
    assert bad.status.code == 0  # a client's mistake is none of ours
    assert PARENT.split("-")[1] in log.read_text()


def test_a_failing_model_is_an_error(collector, tmp_path):
    url = f"http://127.0.0.1:{collector.server_port}"
    beyond = b'{"inputs": [{"name": "index", "shape": [1], "datatype": "INT64", "data": [9]}]}'
    with serving({"picky": graphs.picky(tmp_path)}, traces=url) as running:
        assert running.request("POST", "/v2/models/picky/infer", beyond)[0] == 500
    (span,) = named(spans_of(collector), "POST /v2/models/picky/infer")
    assert span.status.code == span.status.STATUS_CODE_ERROR


def test_a_collector_that_is_gone_stops_nobody(tmp_path):
    with serving({"double": graphs.double(tmp_path)}, traces="http://127.0.0.1:9") as running:
        assert running.request("POST", "/v2/models/double/infer", BODY)[0] == 200
