"""Whole detectors from a checkpoint to a file, held against mmdetection's own detections."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from simam_deploy import NetworkOptions, OnnxOptions, export_onnx
from simam_deploy.detect.masks import paste
from simam_deploy.graph.detect import LOOPS
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.prepare import for_engine
from simam_deploy.models.create import expected_shapes as backbone_shapes
from simam_deploy.models.detectors.identify import identify_detector
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source import load_subject
from tests.golden.detectors import CASES, INPUTS, golden_detector, golden_shapes
from tests.models.detectors import tiny

BOTH = [f"{case}-{which}" for case in CASES for which in INPUTS]
SMALL = """
model = dict(
    type='FasterRCNN',
    backbone=dict(type='ResNetAM', depth=18, attention_param=0.1),
    test_cfg=dict(rpn=dict(nms_pre=60, max_per_img=40), rcnn=dict(max_per_img=12)))
"""


def run(runner, image, size):
    return runner.run({"image": image.numpy(), "image_size": size.numpy()})


def held(wanted, got):
    """Every detection with its label, 0.05 px and 1e-3 of score, 20 pixels of 20 masks."""
    count = int(got["num_dets"][0])
    boxes, scores, labels = (got[name][0][:count] for name in ("boxes", "scores", "labels"))
    pairs = wanted.pairs(boxes, scores, labels)
    assert (pairs.lost, pairs.added) == (0, 0)
    assert pairs.pixels < 0.05
    assert pairs.score < 1e-3
    if wanted.masks is not None:
        index = pairs.index[: len(wanted.masks)]
        near = boxes[index] / wanted.scale_factor
        pasted = paste(got["masks"][0][index], near, *wanted.masks.shape[1:])
        assert (pasted != wanted.masks).sum() <= 20


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Make a file that takes any size of a golden checkpoint; both inputs are of one."""
    made = {}

    def export(case):
        if case not in made:
            folder = tmp_path_factory.mktemp(case)
            torch.save({"state_dict": golden_detector(case).state_dict}, folder / "w.pth")
            asked = NetworkOptions(input_shape=(3, 256, 320), dynamic="hw")
            made[case] = export_onnx(folder / "w.pth", network=asked)
        return made[case]

    return export


@pytest.mark.slow
@pytest.mark.parametrize("which", BOTH)
def test_what_mmdetection_finds_is_found(which, exported):
    case, name = which.split("-")
    wanted, artifact = golden_detector(case).inputs[name], exported(case)
    assert artifact.validation.proved
    with OnnxRunner(artifact.path) as runner:
        held(wanted, run(runner, wanted.image, wanted.image_size))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_batch_is_as_its_pictures_alone(case, exported):
    wanted = golden_detector(case).inputs["padded"]
    other = wanted.image.flip(2) * 0.5
    sizes = torch.tensor([[290.0, 400.0]])
    with OnnxRunner(exported(case).path) as runner:
        both = run(runner, torch.cat([wanted.image, other]), torch.cat([wanted.image_size, sizes]))
        alone = [run(runner, wanted.image, wanted.image_size), run(runner, other, sizes)]
    held(wanted, both)
    for number, each in enumerate(alone):
        for name, array in each.items():
            np.testing.assert_allclose(both[name][number], array[0], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_without_roi_align_and_non_max_suppression(case, tmp_path):
    """The form that TensorRT-RTX is given, a Loop for each."""
    golden = golden_detector(case)
    torch.save({"state_dict": golden.state_dict}, tmp_path / "w.pth")
    asked = NetworkOptions(input_shape=(3, 256, 320), dynamic="none")
    model = load_subject(tmp_path / "w.pth", asked).graph().model
    for_engine(model, "flat", LOOPS, False)
    missing = {"RoiAlign", "NonMaxSuppression", "NonZero"}
    assert not missing & {node.op_type for node in model.graph.all_nodes()}
    wanted = golden.inputs["plain"]
    with run_graph(model) as runner:
        held(wanted, run(runner, wanted.image, wanted.image_size))


def drawn_resnet101(case):
    """The golden heads, drawn anew, on a ResNet-101.

    Each block adds a fifth of what it computes: 33 whole ones grow until every score is 1.
    """
    shapes = {k: s for k, s in golden_shapes(case).items() if not k.startswith("backbone.")}
    shapes |= {
        f"backbone.{key}": shape
        for key, shape in backbone_shapes(NETWORKS["resnet101_backbone"], (64,), None).items()
    }
    drawn = tiny.weights(identify_detector(shapes))
    return {k: v * 0.2 if k.endswith("bn3.weight") else v for k, v in drawn.items()}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_resnet101_exports_and_is_proved(case, tmp_path):
    torch.save({"state_dict": drawn_resnet101(case)}, tmp_path / "w.pth")
    artifact = export_onnx(tmp_path / "w.pth", network=NetworkOptions(input_shape=(3, 128, 160)))
    assert artifact.arch == f"{case.removesuffix('_r50')}_resnet101"
    assert artifact.validation.proved


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    meta = {"config": SMALL, "CLASSES": ("cat", "dog", "bird")}
    state = tiny.weights(tiny.identity(mask=False))
    torch.save({"meta": meta, "state_dict": state}, folder / "epoch_12.pth")
    return folder / "epoch_12.pth"


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_small_one_in_every_precision(precision, small, tmp_path):
    """And held against its checkpoint again, as a stranger would."""
    free = NetworkOptions(input_shape=(3, 64, 96), dynamic="hw")
    artifact = export_onnx(small, tmp_path / "d.onnx", OnnxOptions(precision=precision), free)
    assert artifact.validation.passed
    facts = json.loads(artifact.manifest_path.read_text())
    assert facts["classes"] == ["cat", "dog", "bird"]
    assert facts["preprocessing"]["size_input"] == "image_size"
    assert validate_models(small, artifact.path, NetworkOptions(input_shape=(3, 64, 96))).passed


@pytest.mark.slow
def test_int8_of_backbone_and_pyramid(small, tmp_path):
    """Calibrated on pictures of two shapes; what gives boxes and scores stays float32."""
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(24):
        sides = (48, 90) if number % 2 else (64, 60)
        coarse = rng.integers(0, 256, (*(side // 6 for side in sides), 3)).astype(np.uint8)
        picture = coarse.repeat(6, 0).repeat(6, 1)
        Image.fromarray(picture).save(tmp_path / "pictures" / f"{number:02}.png")
    asked = OnnxOptions(precision="int8", calibration_data=tmp_path / "pictures")
    size = NetworkOptions(input_shape=(3, 64, 96), dynamic="hw")
    artifact = export_onnx(small, tmp_path / "d.onnx", asked, size)
    assert artifact.validation.passed
    facts = json.loads(artifact.manifest_path.read_text())
    assert facts["calibration"]["judged"] == 24
    assert facts["calibration"]["left_in_float32"] == {}
    graph = read_model(artifact.path).graph
    quantised = {n.outputs[0].name for n in graph if n.op_type == "DequantizeLinear"}
    for node in graph:
        named = {value.name or "" for value in node.inputs if value is not None}
        if any(name.startswith(("rpn_head.rpn_cls", "rpn_head.rpn_reg")) for name in named):
            assert not named & quantised
