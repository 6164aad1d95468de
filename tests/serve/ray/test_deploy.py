"""The models on Ray Serve: what is refused at once, and a cluster of three nodes."""

import asyncio
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("starlette", reason="needs the extra `serve`")

from simam_deploy.errors import InputError, UsageError
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.serve.load import Plan, run_load
from simam_deploy.serve.ray.deploy import ENVIRONMENT, Scale, deploy_ray
from simam_deploy.serve.ray.replica import without_changes
from simam_deploy.serve.settings import Settings

PORT = 18777


@pytest.fixture
def model(tmp_path):
    """A convolution over 3x224x224: a request of 602 kB, 10 ms each, so some are under way."""
    rng = np.random.default_rng(0)
    graph = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[batch,3,224,224] x) => (float[batch,64,1,1] y)
        { c = Conv<pads = [3,3,3,3]>(x, w) d = Relu(c) y = GlobalAveragePool(d) }"""
    )
    weights = rng.standard_normal((64, 3, 7, 7)).astype(np.float32)
    graph.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    path = tmp_path / "conv.onnx"
    path.write_bytes(graph.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ({"min_replicas": 0}, "replicas must be"),
        ({"min_replicas": 5}, "replicas must be"),
        ({"max_replicas": 1001}, "replicas must be"),
        ({"cpus": 0}, "0 CPUs"),
        ({"gpus": -1}, "-1 GPUs"),
        ({"cpus": float("nan")}, "nan CPUs"),
    ],
)
def test_scales_that_are_none(figures, says):
    with pytest.raises(UsageError, match=says):
        Scale(**figures)


@pytest.mark.parametrize(
    ("name", "settings", "error", "says"),
    [
        ("conv.onnx", Settings(certificate=Path("c.pem")), UsageError, "no certificate"),
        ("conv.onnx", Settings(http_port=0), UsageError, "needs a port"),
        ("conv.pth", Settings(), UsageError, "export it first"),
        ("other.onnx", Settings(), InputError, "no such file"),
    ],
)
def test_what_is_refused_before_ray_starts(name, settings, error, says, model):
    with pytest.raises(error, match=says):
        deploy_ray({"m": model.with_name(name)}, settings)


def test_without_ray(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'simam-deploy\[ray\]'"):
        deploy_ray({"m": model}, Settings())


def test_loading_and_unloading_are_refused():
    passed, sent = [], []

    async def app(scope, receive, send):
        passed.append(scope["path"])

    async def send(message):
        sent.append(message)

    for path in ("/v2/repository/models/m/unload", "/v2/repository/index", "/v2/models/m/infer"):
        scope = {"type": "http", "path": path}
        asyncio.run(without_changes(app)(scope, None, send))
    assert passed == ["/v2/repository/index", "/v2/models/m/infer"]
    assert sent[0]["status"] >= 400
    assert "deploy them anew" in json.loads(sent[1]["body"])["error"]


@pytest.fixture
def cluster(monkeypatch):
    """Three loopback nodes of one CPU: a replica of one CPU goes to each."""
    pytest.importorskip("ray", reason="needs the extra `ray`")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    # Ray's processes start in folders of their own.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, sys.path)))
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    yield cluster, nodes
    cluster.shutdown()


def ask(url, document=None):
    data = None if document is None else json.dumps(document).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as reply:
        return json.load(reply)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's and its dependencies' own
def test_a_node_that_dies_under_load_fails_no_request(cluster, model):
    cluster, nodes = cluster
    settings = Settings(http_port=PORT)
    service = deploy_ray({"m": model}, settings, Scale(3, 3), address=cluster.address)
    try:
        check_protocol(service.url, model)
        reports = []
        plan = Plan(seconds=10, clients=6, timeout=30)
        load = threading.Thread(target=lambda: reports.append(run_load(service.url, plan)))
        load.start()
        time.sleep(4)
        cluster.remove_node(nodes[0], allow_graceful=False)
        load.join()
        (report,) = reports
        assert report.errors == {}
        assert report.answered > 100
    finally:
        service.stop()


def check_protocol(url, model):
    assert ask(f"{url}/v2/models/m")["inputs"][0]["shape"] == [-1, 3, 224, 224]
    x = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    tensor = {"name": "x", "shape": x.shape, "datatype": "FP32", "data": x.ravel().tolist()}
    answer = ask(f"{url}/v2/models/m/infer", {"inputs": [tensor]})
    with OnnxRunner(model) as runner:
        expected = runner.run({"x": x})["y"].ravel()
    assert np.allclose(answer["outputs"][0]["data"], expected, rtol=1e-5)
    with pytest.raises(urllib.error.HTTPError, match="4|5"):
        ask(f"{url}/v2/repository/models/m/unload", {})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_model_that_does_not_run_is_one_line(cluster, tmp_path):
    cluster, _ = cluster
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(InputError, match=r"does not take bad\.onnx") as caught:
        deploy_ray({"m": path}, Settings(http_port=PORT), address=cluster.address)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_command_serves_until_it_is_told_to_stop(model, launch):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    command = [sys.executable, "-m", "simam_deploy", "serve", str(model), "--ray"]
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    child = launch(
        [*command, "--http-port", str(PORT), "--max-replicas", "1"],
        env={**os.environ, "PYTHONPATH": path},
    )
    said = []
    for line in child.stderr:
        said.append(line)
        if line.startswith("simam-serve: ready at"):
            break
    else:
        pytest.fail("".join(said))
    report = run_load(f"http://127.0.0.1:{PORT}", Plan(seconds=1, clients=2))
    child.send_signal(signal.SIGTERM)
    rest = child.communicate(timeout=120)[1]
    assert report.answered > 0
    assert child.returncode == 0, rest
    assert "Traceback" not in rest
    with pytest.raises(InputError, match="not connected"):
        run_load(f"http://127.0.0.1:{PORT}", Plan(seconds=1), model="m")
