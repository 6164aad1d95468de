"""From the start to the end of a server: nothing that was accepted is lost."""

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter

import numpy as np
import pytest

from simam_deploy.errors import InputError
from tests.serve import graphs
from tests.serve.gated import held
from tests.serve.running import serving, until

X = np.arange(12, dtype=np.float32).reshape(1, 3, 4)


def body_of(array, name="x", datatype="FP32"):
    tensor = {"name": name, "shape": list(array.shape), "datatype": datatype}
    return json.dumps({"inputs": [{**tensor, "data": array.tolist()}]}).encode()


class Load:
    """Clients that ask again and again, each on its connection, until they are stopped."""

    def __init__(self, port, model, clients, body):
        self.answers = Counter()
        self.values = Counter()
        self._end = threading.Event()
        self._asked = port, f"/v2/models/{model}/infer", body
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised):
        self._end.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self):
        port, path, body = self._asked
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection):
            while not self._end.is_set():
                connection.request("POST", path, body)
                response = connection.getresponse()
                answer = json.loads(response.read())
                self.answers[response.status] += 1
                self.values[answer["outputs"][0]["data"][1]] += 1


@contextlib.contextmanager
def process(*arguments):
    """Run `simam serve` as a shell would; yields it and the HTTP port once it is ready."""
    command = [sys.executable, "-m", "simam_deploy", "serve", *map(str, arguments)]
    ports = ["--http-port", "0", "--grpc-port", "0"]
    child = subprocess.Popen([*command, *ports], stderr=subprocess.PIPE, text=True)
    try:
        said = []
        for line in child.stderr:
            said.append(line)
            if "ready" in line:
                break
        assert said and "ready" in said[-1], said
        (listening,) = (line for line in said if "HTTP on" in line)
        yield child, int(listening.rpartition(":")[2])
    finally:
        child.kill()
        child.wait(10)
        child.stderr.close()


def waiting(port, model):
    """Count the requests in a model's queue, as another process sees it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as reply:
        said = reply.read().decode()
    (line,) = (x for x in said.splitlines() if f'request_count{{model="{model}"' in x)
    return float(line.split()[-1])


def test_sigterm_answers_what_is_in_flight(tmp_path):
    """Eight requests of 0.2 s each wait for one thread when the signal comes."""
    graphs.slow(tmp_path)
    with process(tmp_path / "slow.onnx") as (child, port):
        answers = Counter()

        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request(
                "POST", "/v2/models/slow/infer", body_of(np.array([25]), "rounds", "INT64")
            )
            response = connection.getresponse()
            response.read()
            answers[response.status] += 1
            connection.close()

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: waiting(port, "slow") == 7)  # and one is being computed
        child.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(30)
        assert answers == {200: 8}
        assert child.wait(20) == 0


def test_ready_goes_before_the_end_and_live_stays(tmp_path):
    graphs.double(tmp_path)
    with serving({"double": tmp_path / "double.onnx"}, drain_delay=2.0) as running:
        asked = [running.request("GET", f"/v2/health/{kind}")[0] for kind in ("live", "ready")]
        running.stop()
        until(lambda: not running.server.repository.ready)
        late = [running.request("GET", f"/v2/health/{kind}")[0] for kind in ("live", "ready")]
        answered, _, headers = running.request("POST", "/v2/models/double/infer", body_of(X))
    assert asked == [200, 200]
    assert late == [200, 503]
    assert (answered, headers["connection"]) == (200, "close")


def test_not_ready_before_the_warm_up_is_done(tmp_path):
    """The port answers while the model still loads: a probe must tell the two apart."""
    graphs.slow(tmp_path)
    seen = set()
    with serving({"slow": tmp_path / "slow.onnx"}) as running:
        repository = running.server.repository
        repository.loaded = False
        seen.add(running.request("GET", "/v2/health/live")[0])
        status, said, headers = running.request("POST", "/v2/models/slow/infer", b"{}")
        assert running.request("GET", "/v2/health/ready")[0] == 503
        repository.loaded = True
    assert seen == {200}
    assert (status, said) == (503, {"error": "the server is not ready"})
    assert headers["retry-after"] == "1"


def test_reload_under_load_fails_no_request(tmp_path):
    """Old answers are 2x, new ones 3x; none is anything else and none is missing."""
    path = graphs.double(tmp_path)
    with (
        serving({"double": path}) as running,
        Load(running.server.http_port, "double", 8, body_of(X)) as load,
    ):
        time.sleep(0.2)
        graphs.double(tmp_path, factor=3.0)
        for version in range(2, 5):
            assert running.request("POST", "/v2/repository/models/double/load")[0] == 200
            assert running.request("GET", f"/v2/models/double/versions/{version}/ready")[0] == 200
        time.sleep(0.2)
    assert load.answers.keys() == {200}
    assert load.values.keys() == {2.0, 3.0}


def test_the_new_version_serves_while_the_old_one_still_computes(gate, tmp_path):
    statuses = []

    def ask():
        status, said, _ = running.request("POST", "/v2/models/double/infer", body_of(X))
        statuses.append((status, said["model_version"]))

    with serving({"double": graphs.double(tmp_path)}) as running:
        with held(gate.opened[0]) as begun:
            old = threading.Thread(target=ask)
            old.start()
            until(begun)
            load = "POST", "/v2/repository/models/double/load"
            loading = threading.Thread(target=running.request, args=load)
            loading.start()
            until(lambda: running.server.repository.get("double").version == "2")
            ask()
            assert old.is_alive()
        old.join(30)
        loading.join(30)
    assert statuses == [(200, "2"), (200, "1")]


def test_a_body_that_came_in_during_a_reload_goes_to_the_new_version(tmp_path):
    path = graphs.double(tmp_path)
    body = body_of(X)
    with serving({"double": path}) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.server.http_port, timeout=30)
        connection.putrequest("POST", "/v2/models/double/infer")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:20])
        until(lambda: running.in_flight)
        assert running.request("POST", "/v2/repository/models/double/load")[0] == 200
        connection.send(body[20:])
        answer = json.loads(connection.getresponse().read())
        connection.close()
    assert answer["model_version"] == "2"


def test_a_reload_of_a_broken_file_leaves_the_old_version(tmp_path):
    path = graphs.double(tmp_path)
    with serving({"double": path}) as running:
        path.write_bytes(b"no model")
        status, said, _ = running.request("POST", "/v2/repository/models/double/load")
        assert status == 400
        assert "ONNX Runtime does not take double.onnx" in said["error"]
        assert running.request("POST", "/v2/models/double/infer", body_of(X))[0] == 200


def test_unload_and_load(tmp_path):
    path = graphs.double(tmp_path)
    with serving({"double": path}) as running:
        assert running.request("POST", "/v2/repository/models/double/unload")[0] == 200
        status, said, _ = running.request("POST", "/v2/models/double/infer", body_of(X))
        assert (status, said) == (404, {"error": "model 'double' is not loaded: unloaded"})
        listed = running.request("POST", "/v2/repository/index")[1]
        assert listed[0]["state"] == "UNAVAILABLE"
        assert running.request("POST", "/v2/repository/index", b'{"ready": true}')[1] == []
        assert running.request("POST", "/v2/repository/models/double/load")[0] == 200
        assert running.request("POST", "/v2/models/double/infer", body_of(X))[0] == 200


def test_sighup_reloads(tmp_path):
    path = graphs.double(tmp_path)
    with process(path) as (child, port):
        path.write_bytes(b"no model")
        child.send_signal(signal.SIGHUP)
        assert "the version before goes on" in child.stderr.readline()
        graphs.double(tmp_path, factor=3.0)
        child.send_signal(signal.SIGHUP)
        assert "reloaded double" in child.stderr.readline()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/v2/models/double/infer", body_of(X))
        answer = json.loads(connection.getresponse().read())
        assert answer["model_version"] == "2"
        assert answer["outputs"][0]["data"][1] == 3.0
        connection.close()


def test_a_slow_model_does_not_hold_up_another(gate, tmp_path):
    sources = {name: graphs.double(tmp_path, name) for name in ("slow", "double")}
    with serving(sources) as running:
        with held(gate.opened[0]) as begun:
            ask = "POST", "/v2/models/slow/infer", body_of(X)
            slow = threading.Thread(target=running.request, args=ask)
            slow.start()
            until(begun)
            ask = "POST", "/v2/models/double/infer", body_of(X)
            answers = [running.request(*ask)[0] for _ in range(5)]
            assert slow.is_alive()
        slow.join(30)
    assert answers == [200] * 5


def test_a_client_that_goes_away_takes_its_request_along(gate, tmp_path):
    """The request is queued behind one that is computed; it never is."""
    with serving({"double": graphs.double(tmp_path)}) as running:
        batcher = running.server.repository.get("double").batcher
        ask = "POST", "/v2/models/double/infer", body_of(X)
        with held(gate.opened[0]) as begun:
            first = threading.Thread(target=running.request, args=ask)
            first.start()
            until(begun)
            connection = http.client.HTTPConnection("127.0.0.1", running.server.http_port)
            with contextlib.closing(connection):
                connection.request(*ask)
                until(lambda: batcher.queued)
            until(lambda: not batcher.queued)
            assert first.is_alive()  # else the queue is empty because its turn came
        first.join(30)
        stats = running.request("GET", "/v2/models/double/stats")[1]["model_stats"][0]
        assert stats["execution_count"] == 1
        until(lambda: not running.in_flight)


def test_a_storm_of_signals_is_two_reloads_and_none_at_the_end(gate, tmp_path):
    with serving({"double": graphs.double(tmp_path)}) as running:
        gate.opening.clear()

        def signal_often():
            for _ in range(100):
                running.server.reload()

        running.loop.call_soon_threadsafe(signal_often)
        until(lambda: gate.knocks == 2)
        running.loop.call_soon_threadsafe(signal_often)
        gate.opening.set()
        until(lambda: running.said.count("reloaded double") == 2)
        running.stop()
        running.loop.call_soon_threadsafe(signal_often)
    assert gate.knocks == 3


@pytest.mark.parametrize("spoil", [lambda p: p.unlink(), lambda p: p.write_bytes(b"no model")])
def test_a_model_that_is_gone_keeps_no_other_from_reloading(spoil, tmp_path):
    sources = {name: graphs.double(tmp_path, name) for name in "abc"}
    with serving(sources) as running:
        spoil(sources["a"])
        running.loop.call_soon_threadsafe(running.server.reload)
        until(lambda: "reloaded c" in running.said)
        assert "reloaded b" in running.said
        assert any("failed to load 'a'" in said for said in running.said)
        index = running.request("POST", "/v2/repository/index")[1]
        assert [(x["version"], x["state"], bool(x["reason"])) for x in index] == [
            ("1", "READY", True), ("2", "READY", False), ("2", "READY", False)
        ]  # fmt: skip
        status, said, _ = running.request("POST", "/v2/repository/models/a/load")
        assert status == 400
        assert said["error"].startswith("failed to load 'a': ")
        assert running.request("POST", "/v2/models/a/infer", body_of(X))[0] == 200


def manifest_for(path, digest):
    files = [{"name": path.name, "size": path.stat().st_size, "sha256": digest}]
    path.with_suffix(".json").write_text(json.dumps({"schema": 1, "kind": "onnx", "files": files}))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: p.write_bytes(b""), "ONNX Runtime does not take"),
        (lambda p: manifest_for(p, "0" * 64), "sha256 differs"),
        (lambda p: p.with_suffix(".json").write_text("{"), "manifest cannot be used: .* no JSON"),
        (lambda p: p.with_suffix(".json").write_text('{"schema": 1}'), "it has no 'kind'"),
        (lambda p: p.with_suffix(".json").write_text('{"schema": 9}'), "schema 9"),
        (lambda p: graphs.text(p.parent).rename(p), "holds string, which is not served"),
    ],
)
def test_a_model_that_cannot_be_served_ends_the_start(spoil, says, tmp_path):
    path = graphs.double(tmp_path)
    spoil(path)
    with pytest.raises(InputError, match=says), serving({"double": path}):
        pass


def test_a_manifest_that_fits_is_taken(tmp_path):
    from simam_deploy.core.files import sha256_of

    path = graphs.double(tmp_path)
    manifest_for(path, sha256_of(path))
    with serving({"double": path}) as running:
        assert running.server.repository.get("double").facts["kind"] == "onnx"


def test_a_port_that_is_taken(tmp_path):
    path = graphs.double(tmp_path)
    with serving({"double": path}) as running:
        port = running.server.http_port
        taken = pytest.raises(InputError, match=f"cannot listen for HTTP on 127.0.0.1:{port}")
        with taken, serving({"double": path}, http_port=port):
            pass
        port = running.server.grpc_port
        taken = pytest.raises(InputError, match=f"cannot listen for gRPC on 127.0.0.1:{port}")
        with taken, serving({"double": path}, grpc_port=port):
            pass


def test_a_provider_that_is_not_there(tmp_path):
    path = graphs.double(tmp_path)
    refused = pytest.raises(InputError, match="has no CUDAExecutionProvider")
    with refused, serving({"double": path}, provider="cuda"):
        pass


def test_a_model_that_computes_for_nobody_does_not_hold_up_the_end(tmp_path):
    """It would take minutes; the signal comes when it has begun."""
    graphs.slow(tmp_path)
    with process(tmp_path / "slow.onnx", "--drain-timeout", "0.5") as (child, port):
        body = body_of(np.array([100_000]), "rounds", "INT64")
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(asking):
            asking.request("POST", "/v2/models/slow/infer", body)
            time.sleep(0.3)
            child.send_signal(signal.SIGTERM)
            assert child.wait(30) == 0
        said = child.stderr.read()
        assert "a model still computes, for nobody: it is cut off" in said
        assert "Traceback" not in said
