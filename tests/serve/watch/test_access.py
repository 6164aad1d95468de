"""The access log: a line of JSON for each request."""

import json
import logging
import threading
from datetime import datetime, timezone

import numpy as np
import pytest
import tritonclient.grpc as triton

from simam_deploy.errors import InputError
from simam_deploy.serve.models.seen import Seen
from simam_deploy.serve.watch import access
from simam_deploy.serve.watch.access import AccessLog
from tests.serve import graphs
from tests.serve.running import serving, until

BODY = b'{"inputs": [{"name": "x", "shape": [1, 3, 4], "datatype": "FP32", "data": [%s]}]}' % (
    b", ".join([b"1"] * 12)
)


@pytest.fixture
def logged(tmp_path):
    """A server with a log, and a function that gives its lines once there are so many."""
    file = tmp_path / "access.log"

    def lines(count):
        until(lambda: file.exists() and file.read_text().count("\n") >= count)
        return [json.loads(line) for line in file.read_text().splitlines()]

    with serving({"double": graphs.double(tmp_path)}, access_log=str(file)) as running:
        yield running, lines


def test_an_inference_says_what_it_met(logged):
    running, lines = logged
    before = datetime.now(timezone.utc)
    status, _, headers = running.request("POST", "/v2/models/double/infer", BODY)
    assert status == 200
    (line,) = lines(1)
    assert (line["transport"], line["method"], line["path"], line["status"]) == (
        "http", "POST", "/v2/models/double/infer", 200,
    )  # fmt: skip
    assert (line["client"], line["model"], line["version"]) == ("127.0.0.1", "double", "1")
    assert (line["bytes_in"], line["bytes_out"]) == (len(BODY), int(headers["content-length"]))
    assert (line["rows"], line["batch_rows"], line["batch_requests"]) == (1, 1, 1)
    assert 0 < line["queue_ms"] + line["compute_ms"] <= line["ms"]
    when = datetime.fromisoformat(line["time"])
    assert abs((when - before).total_seconds()) < 30
    assert "trace_id" not in line


def test_what_is_refused_and_what_is_not_computed_have_a_line_too(logged):
    running, lines = logged
    running.request("GET", "/v2/health/live")
    running.request("POST", "/v2/models/nobody/infer", BODY)
    running.request("GET", "/nope\x1b[31m".replace("\x1b", "%1b") + "x" * 500)
    live, unknown, nowhere = lines(3)
    assert (live["path"], live["status"], "model" in live) == ("/v2/health/live", 200, False)
    assert (unknown["status"], "rows" in unknown) == (404, False)
    assert nowhere["status"] == 404
    assert len(nowhere["path"]) == 200


def test_no_byte_of_a_client_s_steers_a_terminal(logged, tmp_path):
    running, lines = logged
    running.request("GET", "/%1b%5b31m%0a%e2%80%ae")
    (line,) = lines(1)
    assert line["path"] == "/\x1b[31m\n\u202e"
    assert (tmp_path / "access.log").read_bytes().isascii()
    assert b"\x1b" not in (tmp_path / "access.log").read_bytes()


def test_calls_over_grpc_have_lines(logged):
    running, lines = logged
    with triton.InferenceServerClient(running.grpc) as client:
        given = triton.InferInput("x", [2, 3, 4], "FP32")
        given.set_data_from_numpy(np.ones((2, 3, 4), np.float32))
        client.infer("double", [given])
        with pytest.raises(Exception, match="unknown model"):
            client.infer("nobody", [given])
    good, bad = lines(2)
    assert (good["transport"], good["method"], good["status"]) == (
        "grpc", "inference.GRPCInferenceService/ModelInfer", "OK",
    )  # fmt: skip
    assert (good["model"], good["rows"], "path" in good) == ("double", 2, False)
    assert good["bytes_in"] > 96
    assert good["bytes_out"] > 96
    assert (bad["status"], "model" in bad) == ("NOT_FOUND", False)


def test_requests_of_one_batch_say_so(tmp_path):
    file = tmp_path / "access.log"
    settings = {"access_log": str(file), "max_delay_us": 300_000, "max_batch_size": 4}
    with serving({"double": graphs.double(tmp_path)}, **settings) as running:
        ask = lambda: running.request("POST", "/v2/models/double/infer", BODY)  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(each["batch_rows"], each["batch_requests"]) for each in lines] == [(4, 4)] * 4


def test_a_client_that_hung_up_has_no_status(tmp_path):
    seen = Seen("http", "POST", "/x", "::1", 5)
    log = AccessLog(str(tmp_path / "log"))
    log.end(seen)
    log.close()
    assert json.loads((tmp_path / "log").read_text())["status"] is None


def test_a_file_that_was_rotated_is_opened_anew(tmp_path):
    file = tmp_path / "log"
    log = AccessLog(str(file))
    log.end(Seen("http", "GET", "/1", "", 0))
    until(lambda: file.read_text().count("\n") == 1)
    file.rename(tmp_path / "log.1")
    log.end(Seen("http", "GET", "/2", "", 0))
    log.close()
    assert json.loads((tmp_path / "log.1").read_text())["path"] == "/1"
    assert json.loads(file.read_text())["path"] == "/2"


def test_a_disk_that_is_stuck_holds_up_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(access, "WAITING", 3)
    stuck, going = threading.Event(), threading.Event()

    def wait(handler, record):
        stuck.set()
        going.wait()

    monkeypatch.setattr(logging.FileHandler, "emit", wait)
    log = AccessLog(str(tmp_path / "log"))
    log.end(Seen("http", "GET", "/", "", 0))
    stuck.wait(10)
    for _ in range(10):
        log.end(Seen("http", "GET", "/", "", 0))
    assert log.lost == 7
    log.close(patience=0.05)
    going.set()
    log.close()
    assert not log._thread.is_alive()


def test_a_place_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    with pytest.raises(InputError, match="cannot write the access log"):
        AccessLog(str(tmp_path / "nowhere" / "log"))
