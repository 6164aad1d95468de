"""Plans behind the server, on a TensorRT that doubles its input in host memory."""

import io
import json

import numpy as np
import onnx
import pytest
from PIL import Image

from simam_deploy.cli.serve import main
from simam_deploy.core.files import PLANS
from simam_deploy.core.manifest import manifest_path
from simam_deploy.engine.flavours.choose import FLAVOURS, load_library
from simam_deploy.engine.options import EngineOptions
from simam_deploy.engine.run import engine
from simam_deploy.errors import InputError
from simam_deploy.pipeline.build import build
from simam_deploy.pipeline.serve import find_sources
from simam_deploy.runtime.gpu import find_gpus
from simam_deploy.serve.models import model
from simam_deploy.serve.settings import Settings
from tests.serve.running import serving
from tests.serve.test_lifecycle import body_of

CLASSES = 10
SEEN = {"kind": "image", "resize": 8, "scale": 1 / 255, "mean": [0.0] * 3, "std": [1.0] * 3}


def planned(folder, preprocessing=SEEN):
    """A plan, proved against its graph: twice the first values of every row."""
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,3,8,8] x) => (float[n,{CLASSES}] y)
        <int64[1] from = {{0}}, int64[1] to = {{{CLASSES}}}, int64[1] axis = {{1}}>
        {{ f = Flatten(x) s = Slice(f, from, to, axis) y = Add(s, s) }}"""
    )
    onnx.helper.set_model_props(proto, {"simam.preprocessing": json.dumps(preprocessing)})
    onnx.save(proto, folder / "m.onnx")
    options = EngineOptions(backend="tensorrt", cache=False)
    return build(folder / "m.onnx", folder / "m.engine", options).path


@pytest.fixture
def plan(gpu, tmp_path):
    return planned(tmp_path)


def batch(rows, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, 3, 8, 8)).astype(np.float32)


def test_a_plan_is_served_by_copies_that_share_one_engine(plan):
    with serving({"m": plan}, instances=3) as running:
        for seed in range(6):
            x = batch(2, seed)
            status, said, _ = running.request("POST", "/v2/models/m/infer", body_of(x))
            assert status == 200
            expected = 2 * x.reshape(2, -1)[:, :CLASSES]
            np.testing.assert_allclose(said["outputs"][0]["data"], expected.ravel(), rtol=1e-6)
        model = running.server.repository.models["m"]
        assert model.instances == 3
        assert len({id(runner._engine) for runner in model.batcher._runners}) == 1
        about = running.request("GET", "/v2/models/m")[1]
    assert about["platform"] == "tensorrt_plan"
    assert about["parameters"]["precision"] == "fp32"
    assert about["parameters"]["takes_pictures"] is True


def test_nothing_of_a_plan_is_left_on_the_device(plan, gpu):
    with serving({"m": plan}, instances=2):
        assert gpu.streams
    assert (gpu.memory, gpu.graphs, gpu.streams) == ({}, set(), {})


@pytest.mark.parametrize("attention", [False, True])
def test_a_picture_is_classified_and_attention_is_a_note(attention, plan):
    plan.with_name("m.labels.txt").write_text("".join(f"class {i}\n" for i in range(CLASSES)))
    pixels = np.random.default_rng(1).integers(0, 200, (8, 8, 3)).astype(np.uint8)
    pixels[0, 6, 0] = 255  # x[0, 0, 0, 6], which becomes score 6
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    with serving({"m": plan}) as running:
        path = f"/v2/models/m/classify?attention={int(attention)}"
        status, said, _ = running.request("POST", path, content.getvalue())
    assert status == 200
    assert said["classes"][0]["label"] == "class 6"
    assert said.get("attention") == ([] if attention else None)
    assert ("a plan does not show its SimAM maps" in said.get("attention_note", "")) == attention


def test_a_graph_that_states_nonsense_takes_no_pictures(gpu, tmp_path):
    with serving({"m": planned(tmp_path, "nonsense")}) as running:
        facts = running.request("GET", "/v2/models/m")[1]["parameters"]
    assert facts["takes_pictures"] is False


def refused(plan, says, **settings):
    with pytest.raises(InputError, match=says), serving({"m": plan}, **settings):
        pass


def test_a_plan_without_its_manifest_wants_trust(plan):
    manifest_path(plan).unlink()
    refused(plan, r"model 'm': m\.engine has no manifest .*or trust it")
    with serving({"m": plan}, trust_engine=True) as running:
        facts = running.request("GET", "/v2/models/m")[1]["parameters"]
    assert "precision" not in facts


def test_a_plan_that_is_not_its_manifests(plan):
    plan.write_bytes(plan.read_bytes() + b" ")
    refused(plan, "m.engine is another file than its manifest describes")


@pytest.mark.parametrize("suffix", PLANS)
def test_a_folder_of_plans(suffix, tmp_path):
    (tmp_path / f"m{suffix}").touch()
    (tmp_path / f"m{suffix}.json").touch()
    assert find_sources([str(tmp_path)]) == {"m": tmp_path / f"m{suffix}"}


def test_without_a_gpu_is_one_line(tmp_path, capsys):
    if find_gpus().devices:
        pytest.skip("there is a GPU here")
    (tmp_path / "m.engine").write_bytes(b"ftrt")
    assert main([str(tmp_path / "m.engine"), "--http-port", "0", "--no-grpc", "-q"]) == 1
    said = capsys.readouterr().err
    assert "model 'm': a TensorRT engine runs on an NVIDIA GPU alone: " in said
    assert said.count("\n") == 1


def test_a_plan_that_is_replaced_after_its_check_is_not_loaded(plan, monkeypatch):
    """The bytes that were held against the hash are those that go to TensorRT."""
    original, real, given = plan.read_bytes(), engine.check_plan, []

    def check_and_swap(*arguments):
        document = real(*arguments)
        plan.write_bytes(b"ftrt another plan")
        return document

    monkeypatch.setattr(engine, "check_plan", check_and_swap)
    library = load_library(FLAVOURS["tensorrt"])
    taken = library.Runtime.deserialize_cuda_engine
    monkeypatch.setattr(
        library.Runtime,
        "deserialize_cuda_engine",
        lambda self, content: given.append(bytes(content)) or taken(self, content),
    )
    model.load_model("m", plan, "1", Settings()).close()
    assert given == [original]
