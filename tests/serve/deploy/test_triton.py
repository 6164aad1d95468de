"""The Triton repository: read back by the schema that Triton itself has, and by a real Triton."""

import importlib.util
import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("tritonclient.grpc", reason="needs the extra `serve`")

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from simam_deploy.detect.masks import paste
from simam_deploy.errors import InputError, UsageError
from simam_deploy.models.zoo import CIFAR, WESPEAKER
from simam_deploy.op.find import OPERATORS
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.serve.deploy import operators, write_triton
from simam_deploy.source.recipes import read_recipe
from tests.detect import tiny
from tests.serve.models.test_detect import write_yolo
from tests.serve.running import serving


def config_of(deployment):
    text = (deployment.path / "config.pbtxt").read_text()
    return text_format.Parse(text, pb.ModelConfig())


@pytest.fixture(scope="module")
def exported(digits_onnx):
    return digits_onnx


def test_an_exported_network(exported, tmp_path):
    deployment = write_triton(exported, tmp_path / "models", instances=2, device="cpu")
    assert deployment.files == ("1/model.onnx", "README.md", "config.pbtxt")
    assert deployment.path == tmp_path / "models" / "digits"
    config = config_of(deployment)
    assert (config.name, config.backend, config.platform) == ("digits", "onnxruntime", "")
    assert config.max_batch_size == 8
    (tensor,), (output,) = config.input, config.output
    assert (tensor.name, list(tensor.dims)) == ("input", [3, 32, 32])
    assert tensor.data_type == output.data_type == pb.TYPE_FP32
    assert (output.name, list(output.dims)) == ("logits", [10])
    (group,) = config.instance_group
    assert (group.count, group.kind) == (2, pb.ModelInstanceGroup.KIND_CPU)
    assert config.HasField("dynamic_batching")
    assert not config.dynamic_batching.HasField("default_queue_policy")
    assert [w.batch_size for w in config.model_warmup] == [1, 8]
    assert list(config.model_warmup[1].inputs["input"].dims) == [3, 32, 32]


def test_the_copy_computes_what_the_artifact_does(exported, tmp_path):
    deployment = write_triton(exported, tmp_path, name="copy")
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    with OnnxRunner(exported) as a, OnnxRunner(deployment.path / "1" / "model.onnx") as b:
        assert np.array_equal(a.run({"input": x})["logits"], b.run({"input": x})["logits"])


def test_external_data_come_along(make_onnx, tmp_path):
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[batch,4] x) => (float[batch,10] logits) { logits = MatMul(x, w) }"""
    )
    tensor = model.graph.initializer.add(name="w", dims=[4, 10], data_type=1)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="m.onnx.data")
    data = tmp_path / "m.onnx.data"
    data.write_bytes(np.full((4, 10), 0.5, np.float32).tobytes())
    path = make_onnx(model=model)
    with pytest.raises(InputError, match=r"does not list m\.onnx\.data"):
        write_triton(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    document = json.loads(path.with_suffix(".json").read_text())
    from simam_deploy.core.files import sha256_of

    document["files"].append({"name": data.name, "size": 160, "sha256": sha256_of(data)})
    path.with_suffix(".json").write_text(json.dumps(document))
    assert "1/m.onnx.data" in write_triton(path, tmp_path / "out").files


def test_a_fixed_batch_is_the_clients(make_onnx, tmp_path):
    path = make_onnx(model=fixed())
    config = config_of(write_triton(path, tmp_path / "out"))
    assert config.max_batch_size == 0
    assert list(config.input[0].dims) == [2, 4]
    assert not config.HasField("dynamic_batching")
    assert [(w.batch_size, list(w.inputs["x"].dims)) for w in config.model_warmup] == [(0, [2, 4])]
    with pytest.raises(UsageError, match="fixed batch"):
        write_triton(path, tmp_path / "other", max_batch_size=4)


def fixed():
    return onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[2,4] x) => (float[2,4] y) { y = Relu(x) }"""
    )


MMDET = {"resize": [1333, 800], "keep_ratio": True, "pad_divisor": 32}


def free_sides(rank=4):
    dims = {4: "batch,3,h,w", 3: "batch,t,80", 1: "batch"}[rank]
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[{dims}] x) => (float[{dims}] y) {{ y = Relu(x) }}"""
    )


@pytest.mark.parametrize(
    ("rank", "facts", "dims"),
    [
        (4, {"preprocessing": {"resize": 256, "crop": 224}}, [3, 224, 224]),
        (4, {"preprocessing": {"resize": 32}}, [3, 32, 32]),
        (4, {"preprocessing": {"resize": [9, 8]}, "smallest_input": [1, 3, 33, 33]}, [3, 33, 33]),
        (4, {"preprocessing": {"resize": [640, 480], "keep_ratio": True}}, [3, 480, 640]),
        (4, {"preprocessing": {"resize": [9, 8], "stretch": True}}, [3, 8, 9]),
        (4, {"preprocessing": MMDET}, [3, 800, 1344]),
        (3, {"smallest_input": [1, 9, 80]}, [9, 80]),
    ],
)  # fmt: skip
def test_warm_up_of_free_dimensions(rank, facts, dims, make_onnx, tmp_path):
    config = config_of(write_triton(make_onnx(model=free_sides(rank), **facts), tmp_path / "out"))
    assert [-1 if d != 3 and d != 80 else d for d in dims] == list(config.input[0].dims)
    assert {tuple(w.inputs["x"].dims) for w in config.model_warmup} == {tuple(dims)}


def test_no_warm_up_where_no_size_is_known(make_onnx, tmp_path):
    deployment = write_triton(make_onnx(model=free_sides()), tmp_path / "out")
    assert not config_of(deployment).model_warmup
    assert "no warm-up" in deployment.notes[0]


def test_one_number_an_item(make_onnx, tmp_path):
    config = config_of(write_triton(make_onnx(model=free_sides(1)), tmp_path / "out"))
    assert list(config.input[0].dims) == [1]
    assert config.input[0].HasField("reshape")
    assert list(config.input[0].reshape.shape) == []


def test_labels(make_onnx, tmp_path):
    names = [f"digit {i}" for i in range(10)]
    deployment = write_triton(make_onnx(classes=names), tmp_path / "out")
    assert config_of(deployment).output[0].label_filename == "labels.txt"
    assert (deployment.path / "labels.txt").read_text().splitlines() == names
    one = (["a"], "1 class is named")
    for wrong, says in (one, (["a\nb"] * 10, "not a list"), ("ab", "not a list")):
        with pytest.raises(InputError, match=says):
            write_triton(make_onnx(classes=wrong), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_detectors_labels_lie_beside_it(make_onnx, tmp_path):
    """Triton ties labels to columns of scores, and a detector has rows of them."""
    detector = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[batch,14,40] x) => (float[batch,14,40] y) { y = Relu(x) }"""
    )
    names = [f"digit {i}" for i in range(10)]
    deployment = write_triton(make_onnx(model=detector, classes=names), tmp_path / "out")
    assert not config_of(deployment).output[0].label_filename
    assert (deployment.path / "labels.txt").read_text().splitlines() == names
    with pytest.raises(InputError, match="9 classes are named, and there are scores of 10"):
        write_triton(make_onnx(model=detector, classes=names[:9]), tmp_path / "other")


def test_the_recipe_for_pictures_is_a_parameter(make_onnx, tmp_path):
    facts = {**CIFAR.preprocessing, "color": "BGR"}
    deployment = write_triton(make_onnx(preprocessing=facts), tmp_path / "out")
    recipe = config_of(deployment).parameters["preprocess"].string_value
    assert read_recipe(recipe).complete((1, 3, 32, 32)) == facts
    assert f"    {recipe}\n" in (deployment.path / "README.md").read_text()
    plain = write_triton(make_onnx(preprocessing=WESPEAKER.preprocessing), tmp_path / "plain")
    assert not config_of(plain).parameters
    assert "pictures" not in (plain.path / "README.md").read_text()


def test_a_plan(make_plan, tmp_path):
    deployment = write_triton(make_plan(), tmp_path / "out")
    assert deployment.files == ("1/model.plan", "README.md", "config.pbtxt")
    config = config_of(deployment)
    assert (config.platform, config.backend) == ("tensorrt_plan", "")
    assert config.max_batch_size == 16  # of its profile
    assert config.output[0].data_type == pb.TYPE_FP16
    assert config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_GPU
    assert list(config.model_warmup[0].inputs["x"].dims) == [3, 32, 32]
    readme = (deployment.path / "README.md").read_text()
    assert "TensorRT 10.9.0.34" in readme
    assert "plugin" not in readme


def test_a_plan_with_a_plugin_says_how_to_load_it(make_plan, tmp_path):
    plugin = {"file": "libsimam.so", "sha256": "0123456789abcdef"}
    readme = (
        write_triton(make_plan(plugin=plugin), tmp_path / "out").path / "README.md"
    ).read_text()
    for part in ("version-compatible=true", "LD_PRELOAD=/path/libsimam.so", "0123456789ab"):
        assert part in readme


def test_what_triton_cannot_run(make_plan, tmp_path):
    with pytest.raises(UsageError, match="no backend"):
        write_triton(make_plan(flavour="tensorrt_rtx"), tmp_path / "out")
    with pytest.raises(UsageError, match="GPUs alone"):
        write_triton(make_plan(), tmp_path / "out", device="cpu")
    with pytest.raises(UsageError, match="0 to 16, got 17"):
        write_triton(make_plan(), tmp_path / "out", max_batch_size=17)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", ["", "..", ".", "a/b", "../a", "a b", "-a", ".a", "a\n", "ä", "a" * 129, "a\0", "c:\\a"]
)
def test_names_that_are_no_folder(name, make_onnx, tmp_path):
    with pytest.raises(UsageError, match="no model name"):
        write_triton(make_onnx(), tmp_path / "out", name=name)


def test_a_model_that_is_there_is_left_alone(make_onnx, tmp_path):
    path = make_onnx()
    deployment = write_triton(path, tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in deployment.path.rglob("*")}
    with pytest.raises(UsageError, match="is there already"):
        write_triton(path, tmp_path / "out")
    assert {p: p.stat().st_mtime_ns for p in deployment.path.rglob("*")} == before
    write_triton(path, tmp_path / "out", name="second")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"m", "second"}


def test_a_repository_that_cannot_be_written(make_onnx):
    with pytest.raises(InputError, match="cannot write /proc/m"):
        write_triton(make_onnx(), Path("/proc"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"instances": 0}, "instances"),
        ({"device": "tpu"}, "device"),
        ({"max_batch_size": -1}, "0 to"),
    ],
)
def test_figures_that_do_not_fit(options, says, make_onnx, tmp_path):
    with pytest.raises(UsageError, match=says):
        write_triton(make_onnx(), tmp_path / "out", **options)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"files": [{"name": "../m.onnx", "size": 1, "sha256": ""}]}, "of another file"),
        ({"more": [{"name": "/etc/passwd", "size": 1, "sha256": ""}]}, "no file beside it"),
        ({"more": [{"name": "../m.onnx", "size": 1, "sha256": ""}]}, "no file beside it"),
        ({"files": [{"name": "m.onnx", "size": 0, "sha256": "0" * 64}]}, "another file than"),
        ({"files": []}, "'files' is not a list of files"),
        ({"files": 3}, "'files' is not a list of files"),
        ({"kind": "engine"}, "no manifest of m.onnx"),
        ({"schema": 99}, "no manifest of m.onnx"),
        ({"profiles": 3}, "'profiles' is not a list of profiles"),
    ],
)
def test_a_hostile_manifest(change, says, make_onnx, tmp_path):
    path = make_onnx(**{k: v for k, v in change.items() if k != "more"})
    sidecar = path.with_suffix(".json")
    document = json.loads(sidecar.read_text())
    if "more" in change:  # beside the artifact's own entry
        document["files"] += change["more"]
        sidecar.write_text(json.dumps(document))
    with pytest.raises(InputError, match=says):
        write_triton(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"[" * 100_000, b"\xff"])
def test_no_manifest(content, make_onnx, tmp_path):
    path = make_onnx()
    sidecar = path.with_suffix(".json")
    sidecar.unlink()
    if content is not None:
        sidecar.write_bytes(content)
    with pytest.raises(InputError, match="manifest"):
        write_triton(path, tmp_path / "out")


def triton_server():
    """Find a tritonserver: $TRITONSERVER, or the one that nvidia-pytriton's wheel carries."""
    if "TRITONSERVER" in os.environ:
        return Path(os.environ["TRITONSERVER"])
    found = importlib.util.find_spec("pytriton")
    if found is None or found.origin is None:
        pytest.skip("no tritonserver: set TRITONSERVER, or pip install --no-deps nvidia-pytriton")
    return Path(found.origin).parent / "tritonserver" / "bin" / "tritonserver"


def ask_triton(repository):
    """Start Triton on a repository, strictly, until it says what became of the models."""
    server = triton_server()
    libraries = (server.parent.parent / "external_libs", sysconfig.get_config_var("LIBDIR"))
    done = subprocess.run(
        [str(server), f"--model-repository={repository}", "--exit-on-error=true",
         f"--backend-directory={server.parent.parent / 'backends'}", "--allow-http=false",
         "--allow-grpc=false", "--allow-metrics=false", "--disable-auto-complete-config"],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))},
    )  # fmt: skip
    return re.findall(
        r"^\| (\S+) +\| (\S+) +\| (.*?) +\|$", done.stdout + done.stderr, re.MULTILINE
    )


@pytest.mark.slow
def test_a_real_triton_reads_it_up_to_the_missing_backend(exported, make_plan, tmp_path):
    for source, name in ((exported, "digits"), (make_plan(), "plan")):
        write_triton(source, tmp_path / "out", name=name)
    states = {model: state for model, _, state in ask_triton(tmp_path / "out")}
    assert "unable to find backend library for backend 'onnxruntime'" in states["digits"]
    assert "unable to find backend library for backend 'tensorrt'" in states["plan"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "right"), [("max_batch_size: 8", "max_batch_sise: 8"), ("TYPE_FP32", "TYPE_FLOAT")]
)
def test_a_real_triton_sees_a_planted_fault(wrong, right, exported, tmp_path):
    """So what the test above relies on is that the configuration was read."""
    deployment = write_triton(exported, tmp_path / "out")
    config = deployment.path / "config.pbtxt"
    config.write_text(config.read_text().replace(wrong, right))
    states = {model: state for model, _, state in ask_triton(tmp_path / "out")}
    assert "unable to find backend" not in states.get("digits", "")


def test_a_detector_has_two_inputs_labels_and_a_client(tmp_path):
    deployment = write_triton(tiny.write(tmp_path), tmp_path / "models")
    config = config_of(deployment)
    assert [(t.name, list(t.dims)) for t in config.input] == [
        ("image", [3, -1, -1]), ("image_size", [2])
    ]  # fmt: skip
    assert [(t.name, list(t.dims), t.data_type) for t in config.output] == [
        ("num_dets", [1], pb.TYPE_INT64), ("boxes", [3, 4], pb.TYPE_FP32),
        ("scores", [3], pb.TYPE_FP32), ("labels", [3], pb.TYPE_INT64),
        ("masks", [3, 28, 28], pb.TYPE_FP32),
    ]  # fmt: skip
    assert config.output[0].HasField("reshape")
    for warm in config.model_warmup:
        assert list(warm.inputs["image"].dims) == [3, 96, 128]
        assert warm.inputs["image"].random_data
        assert warm.inputs["image_size"].zero_data
    assert (deployment.path / "labels.txt").read_text() == "red\ngreen\nblue\n"
    assert not any(tensor.label_filename for tensor in config.output)  # three boxes, three classes
    assert config.parameters["preprocess"].string_value.startswith("resize=128x96,letterbox=corner")


PICTURE = tiny.painted(30, 50, red=(4, 2, 20, 18), blue=(22, 5, 40, 24))


def run_client(deployment, running, folder):
    """Run the client of a README as it stands, but for the server's address; give what it has."""
    text = (deployment.path / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (folder / "street.jpg").write_bytes(tiny.png(PICTURE))
    code = code.replace("localhost:8000", running.http).replace(
        '"street.jpg"', repr(str(folder / "street.jpg"))
    )
    made = {}
    exec(compile(code, "README.md", "exec"), made)  # our own text
    return made


def test_the_client_of_a_detector_finds_what_the_server_does(tmp_path):
    pytest.importorskip("tritonclient.http")
    source = tiny.write(tmp_path)
    deployment = write_triton(source, tmp_path / "models", name="spots")
    with serving({"spots": source}) as running:
        made = run_client(deployment, running, tmp_path)
        said = running.request("POST", "/v2/models/spots/detect", tiny.png(PICTURE))[1]
    assert made["found"].labels.tolist() == [0, 2]
    wanted = [each["box"] for each in said["detections"]]
    np.testing.assert_allclose(made["boxes"], wanted, atol=0.01)
    assert made["masks"].shape == (2, 30, 50)
    np.testing.assert_array_equal(made["masks"], paste(tiny.MASKS[[0, 2]], made["boxes"], 30, 50))


def test_a_detector_without_masks_or_a_second_input_has_a_client_too(tmp_path):
    pytest.importorskip("tritonclient.http")
    source = write_yolo(tmp_path / "squares.onnx")
    deployment = write_triton(source, tmp_path / "models")
    text = (deployment.path / "README.md").read_text()
    assert "paste" not in text
    assert "image_size" not in text
    with serving({"squares": source}) as running:
        assert len(run_client(deployment, running, tmp_path)["boxes"]) > 0


def test_what_a_file_calls_its_inputs_is_text_in_the_client(tmp_path):
    name = 'i"); print("x'
    path = tiny.write(tmp_path, "odd", tiny.renamed(tiny.detector(), image=name))
    text = (write_triton(path, tmp_path / "models").path / "README.md").read_text()
    assert json.dumps(name) in text
    assert f'"{name}"' not in text


def test_a_classifier_has_no_client(exported, tmp_path):
    assert (
        "```python" not in (write_triton(exported, tmp_path / "m").path / "README.md").read_text()
    )


@pytest.fixture
def libraries(tmp_path, monkeypatch):
    """Files that pass for the operators' libraries, the CUDA provider's where it is asked for."""

    def lay(*providers):
        folder = tmp_path / "libraries"
        folder.mkdir()
        for provider in providers:
            (folder / OPERATORS[provider]).write_bytes(provider.encode())
        monkeypatch.setattr(operators, "find_operators", lambda provider: there(folder, provider))

    return lay


def there(folder, provider):
    path = folder / OPERATORS[provider]
    return path if path.exists() else None


@pytest.mark.parametrize(
    ("lie", "device", "taken"),
    [
        (("cpu",), "cpu", "cpu"),
        (("cpu", "cuda"), "cpu", "cpu"),
        (("cpu", "cuda"), "gpu", "cuda"),
        (("cpu", "cuda"), "auto", "cuda"),
        (("cpu",), "auto", "cpu"),
    ],
)
def test_operators_come_along_and_are_named_where_triton_has_them(
    lie, device, taken, libraries, make_onnx, tmp_path
):
    libraries(*lie)
    path = make_onnx(lowering="function")
    made = write_triton(path, tmp_path / "out", device=device, repository="/models")
    name = OPERATORS[taken]
    assert name in made.files
    assert (made.path / name).read_bytes() == taken.encode()
    named = f"/models/m/{name}"
    assert list(config_of(made).model_operations.op_library_filename) == [named]
    assert named in (made.path / "README.md").read_text()
    alone = any("for CPUs alone" in note for note in made.notes)
    assert alone == (device == "auto" and taken == "cpu")


def test_no_operators_are_named_unasked(libraries, make_onnx, tmp_path):
    libraries("cpu", "cuda")
    made = write_triton(make_onnx(lowering="function"), tmp_path / "out")
    assert not config_of(made).HasField("model_operations")
    assert not any(name.endswith(".so") for name in made.files)


@pytest.mark.parametrize(
    ("lie", "device", "lowering", "repository", "error", "says"),
    [
        ((), "auto", "function", "/models", InputError, "operators for ONNX Runtime are missing"),
        (("cpu",), "gpu", "function", "/models", InputError, "are missing"),
        (("cpu",), "cpu", "portable", "/models", UsageError, "the lowering `function`"),
        (("cpu",), "cpu", "function", "models", UsageError, "no absolute path"),
        (("cpu",), "cpu", "function", "/mod\x1bels", UsageError, "no absolute path"),
    ],
)
def test_operators_that_cannot_come_along(
    lie, device, lowering, repository, error, says, libraries, make_onnx, tmp_path
):
    libraries(*lie)
    path = make_onnx(lowering=lowering)
    with pytest.raises(error, match=says):
        write_triton(path, tmp_path / "out", device=device, repository=repository)
    assert not (tmp_path / "out").exists()
