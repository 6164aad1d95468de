"""Where a network looks: which score, whose maps, and over which pixels."""

import numpy as np
import pytest
import torch
from PIL import Image

from simam_deploy import (
    InputError,
    NetworkOptions,
    OnnxOptions,
    UsageError,
    attention_maps,
    export_onnx,
    grad_cam,
)
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.prepare import for_runtime
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.models.create import create
from simam_deploy.models.geometry import site_shapes
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.op.contract import simam_gate
from simam_deploy.pipeline.explain import explain, read_picture
from simam_deploy.pipeline.explained import open_explained
from simam_deploy.pipeline.options import ExplainOptions
from tests.conftest import EXAMPLES
from tests.models.detectors import tiny
from tests.source import detector, yolo

YOLO = NetworkOptions(model=f"{yolo.__file__}:make", input_shape=(1, 3, 64, 64), preprocess="yolo")
TINY = NetworkOptions(input_shape=(3, 64, 96), dynamic="none")
META = {
    "config": """
model = dict(
    type='MaskRCNN',
    backbone=dict(type='ResNetAM', depth=18, attention_param=0.1),
    test_cfg=dict(rpn=dict(nms_pre=60, max_per_img=40), rcnn=dict(max_per_img=12)))
""",
    "CLASSES": ("cat", "dog", "bird"),
}


def digit(number):
    """A sample digit as the network was trained on it, and its class."""
    samples = np.load(EXAMPLES / "digits_samples.npz")
    grey = np.kron(samples["images"][number] / 16 * 255, np.ones((4, 4))).round().astype(np.uint8)
    return np.stack([grey] * 3, -1), int(samples["labels"][number])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What is explained, each written once."""
    folder = tmp_path_factory.mktemp("explained")
    torch.save(yolo.make().state_dict(), folder / "yolo.pth")
    torch.save(detector.make().state_dict(), folder / "own.pth")
    state = tiny.weights(tiny.identity())
    torch.save({"meta": META, "state_dict": state}, folder / "tiny.pth")
    speech = create(NETWORKS["wespeaker_simam_resnet34_asp"], widths=(8,), num_outputs=16)
    torch.save(speech.state_dict(), folder / "speech.pth")
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    return folder


@pytest.fixture(scope="module")
def opened(files, digits):
    """Networks, each loaded once: that takes seconds, and an explanation none."""
    names = [f"digit {n}" for n in range(10)]
    return {
        "digits": open_explained(digits, NetworkOptions(), names),
        "yolo": open_explained(files / "yolo.pth", YOLO, ()),
        "tiny": open_explained(files / "tiny.pth", TINY, ()),
    }


@pytest.fixture(scope="module")
def digits_file(opened, files):
    """The digits network as a graph, which says nothing of its pictures."""
    write_model(for_runtime(opened["digits"].graph(), 18, simplify=False), files / "digits.onnx")
    return files / "digits.onnx"


@pytest.fixture
def cam(opened, files):
    """Explain a digit, or the noise, by a network that is loaded."""

    def explaining(name, number=3, **asked):
        shown = read_picture(digit(number)[0] if name == "digits" else files / "noise.png")
        return opened[name].grad_cam(opened[name].inputs.prepared(shown), ExplainOptions(**asked))

    return explaining


def module_of(opened):
    return opened.module._network[0]


def test_the_class_that_is_ranked_first_where_none_is_named(digits):
    pixels, label = digit(3)
    found = grad_cam(digits, pixels)
    assert (found.target.index, found.target.rank) == (label, 0)
    assert found.target.scalar == f"logits[0, {label}]"
    assert found.layer == "layer3.2.conv2.1"
    assert found.cells.shape == (8, 8)
    assert (found.cells.dtype, found.over_picture().dtype) == (np.float32, np.float32)
    assert found.over_picture().shape == pixels.shape[:2]
    assert found.cells.min() >= 0
    stroke = pixels[..., 0] > 128
    assert found.over_picture()[stroke].mean() > found.over_picture()[~stroke].mean()


def test_a_class_by_its_number_and_by_its_name(cam):
    label = digit(3)[1]
    other = (label + 1) % 10
    by_number, by_name = cam("digits", class_=other), cam("digits", class_=f"DIGIT_{other}")
    assert by_name.target == by_number.target
    assert (by_name.target.name, by_name.target.index) == (f"digit {other}", other)
    assert by_name.target.rank > 0
    assert np.array_equal(by_name.maps[0].cells, by_number.maps[0].cells)
    assert not np.array_equal(by_number.maps[0].cells, cam("digits").maps[0].cells)


def test_it_is_the_module_s_own_gradient(opened, cam):
    """The same by autograd alone, on the network as it is loaded, behind another layer."""
    (found,) = cam("digits", 5, layer="layer2.1", class_=2).maps
    module, kept = module_of(opened["digits"]), []
    hook = module.layer2[1].register_forward_hook(lambda m, a, out: kept.append(out))
    x = torch.from_numpy(opened["digits"].inputs.prepare(Image.fromarray(digit(5)[0]))[None])
    (gradient,) = torch.autograd.grad(module(x.requires_grad_())[0, 2], kept)
    hook.remove()
    by_hand = (kept[0][0] * gradient[0].mean((1, 2))[:, None, None]).sum(0).clamp(min=0)
    np.testing.assert_allclose(found.cells, by_hand.detach(), rtol=1e-4, atol=1e-7)


def test_attention_is_the_contract_s_of_a_checkpoint_and_of_its_file(opened, digits_file):
    """The gates are those of the map that each module is given; a file has the same."""
    pixels, seen, digits = digit(3)[0], {}, opened["digits"]
    maps = digits.attention(digits.inputs.prepared(read_picture(pixels)))
    sites = {n: m for n, m in module_of(digits).named_modules() if isinstance(m, SimAM)}
    hooks = [
        part.register_forward_hook(lambda m, a, out, name=name: seen.update({name: a[0]}))
        for name, part in sites.items()
    ]
    with torch.no_grad():
        module_of(digits)(torch.from_numpy(digits.inputs.prepare(Image.fromarray(pixels))[None]))
    for hook in hooks:
        hook.remove()
    assert [each.layer for each in maps] == list(seen) == list(digits.sites)
    of_file = attention_maps(digits_file, pixels, NetworkOptions(preprocess="cifar"))
    for each, other in zip(maps, of_file, strict=True):
        gates = simam_gate(seen[each.layer].numpy(), 1e-4)[0].mean(0)
        np.testing.assert_allclose(each.cells, gates, atol=1e-5)
        np.testing.assert_allclose(other.cells, gates, atol=1e-5)
        assert (each.cells.dtype, other.layer) == (np.float32, each.layer)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "off"), [("fp16", 5e-3), ("bf16", 4e-2)])
def test_attention_of_a_half_file(precision, off, digits, digits_onnx, tmp_path):
    half = export_onnx(digits, tmp_path / "half.onnx", OnnxOptions(precision)).path
    whole = attention_maps(digits_onnx, digit(3)[0])
    for ours, theirs in zip(whole, attention_maps(half, digit(3)[0]), strict=True):
        np.testing.assert_allclose(ours.cells, theirs.cells, atol=off)


@pytest.mark.slow
def test_a_file_of_a_fixed_batch(digits, digits_onnx, tmp_path):
    fixed = NetworkOptions(dynamic="none", input_shape=(4, 3, 32, 32))
    file = export_onnx(digits, tmp_path / "four.onnx", network=fixed).path
    ours, theirs = (attention_maps(each, digit(3)[0])[-1] for each in (digits_onnx, file))
    np.testing.assert_allclose(ours.cells, theirs.cells, atol=1e-5)


def test_a_box_of_a_two_stage_detector(cam):
    """Its box lies in the picture's own pixels; the score is that of the outputs."""
    first, third = cam("tiny"), cam("tiny", box=2)
    assert first.target.scalar == "scores[0, 0]"
    assert third.target.scalar == "scores[0, 2]"
    assert first.target.score >= third.target.score > 0
    assert (third.target, third.target.rank) == (third.detections[2], 2)
    assert first.target.name in META["CLASSES"]
    x1, y1, x2, y2 = third.target.box
    assert 0 <= x1 < x2 <= 90
    assert 0 <= y1 < y2 <= 60
    (found,) = first.maps
    assert found.layer == "backbone.layer4.1.conv2.1"
    assert not np.isnan(found.over_picture()).any()
    assert found.over_picture().shape == (60, 90)


def test_the_pyramid_of_a_two_stage_detector(cam):
    (found,) = cam("tiny", layer="neck.fpn_convs.0").maps
    assert found.cells.shape == (16, 24)
    assert found.cells.max() > 0


def test_a_cell_of_a_detector_of_one_stage(cam):
    """Of two branches: where a box is of the finer one, the last SimAM says nothing of it."""
    found = [cam("yolo", box=n) for n in range(8)]
    for each in found:
        ((output, (row, cell)),) = each.target.factors
        assert (output, row) == ("output0", 4 + each.target.index)
        assert each.maps[-1].layer == ("model.0.2" if cell < 256 else "model.1.1")
        assert each.maps[-1].cells.any() or each.maps[-1].cells.min() == 0
    fine = [n for n, each in enumerate(found) if each.maps[-1].layer == "model.0.2"]
    assert 0 < len(fine) < len(found)
    with pytest.raises(InputError, match=r"output0\[0, \d, \d+\] does not depend on layer model.1"):
        cam("yolo", layer="model.1.1", box=fine[0])


def test_attention_of_the_layer_that_grad_cam_is_of(files):
    found = explain(files / "yolo.pth", files / "noise.png", ExplainOptions(layer="model.0"), YOLO)
    assert (found.grad_cam.layer, found.attention.layer) == ("model.0", "model.0.2")
    with pytest.raises(UsageError, match="no SimAM is called 'model.2', nor stands within it"):
        explain(
            files / "yolo.pth",
            files / "noise.png",
            ExplainOptions(layer="model.2", methods=("attention",)),
            YOLO,
        )


def test_a_picture_on_its_side_is_looked_at_upright(tmp_path):
    pixels, _ = digit(3)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.png", exif=exif)
    found = read_picture(tmp_path / "turned.png")
    assert found.turned
    assert np.array_equal(found.picture, pixels)


@pytest.mark.parametrize(
    ("name", "asked", "error", "words"),
    [
        ("digits", {"class_": 10}, UsageError, "no class '10': there are 10, 0 to 9; "),
        ("digits", {"class_": -1}, UsageError, "no class '-1'"),
        ("digits", {"class_": "digit"}, UsageError, "no class 'digit'.*the nearest names are digi"),
        ("digits", {"box": 0}, UsageError, "gives no boxes: name a class"),
        ("digits", {"layer": "layer9"}, UsageError, "no layer 'layer9': the nearest names are lay"),
        ("digits", {"layer": "linear"}, InputError, r"layer linear gives \(1, 10\), no maps"),
        ("tiny", {"class_": 1}, UsageError, "boxes have their class: name a box"),
        ("tiny", {"box": 99}, UsageError, r"no box 99: \d+ are detected, 0 to"),
    ],
)
def test_what_cannot_be_explained(name, asked, error, words, cam):
    with pytest.raises(error, match=words):
        cam(name, **asked)


OWN = {"model": f"{detector.__file__}:make", "input_shape": (1, 3, 64, 64)}


@pytest.mark.parametrize(
    ("name", "network", "words"),
    [
        ("own.pth", {**OWN, "preprocess": "imagenet"}, "gives deep 1x5x16x16, shallow_0 1x5x32x32"),
        ("own.pth", OWN, "nothing says how a picture becomes the input of own.pth: say it"),
        pytest.param(
            "speech.pth", {}, "speech.pth takes no pictures: its input is", marks=pytest.mark.slow
        ),
        ("plan.engine", {}, "plan.engine is a plan, which shows nothing within: give the .onnx"),
    ],
)
def test_a_network_that_cannot_be_explained(name, network, words, files):
    with pytest.raises(InputError, match=words):
        grad_cam(files / name, files / "noise.png", network=NetworkOptions(**network))


def test_an_onnx_file_has_no_gradient(digits_file):
    cifar = NetworkOptions(preprocess="cifar")
    with pytest.raises(InputError, match=".onnx is a graph, which cannot be differentiated: Grad"):
        grad_cam(digits_file, digit(3)[0], network=cifar)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_what_is_no_picture(pixels):
    with pytest.raises(InputError, match=r"a picture is uint8 \(H, W, 3\) or \(H, W\), got"):
        read_picture(pixels)


@pytest.mark.parametrize(
    "name",
    ["resnet18", "resnet50d", "mobilenet_v2", "cifar_resnet20", "cifar_preresnet164",
     "cifar_wideresnet28x10", "cifar_mobilenetv2", "resnet18_backbone"],
)  # fmt: skip
def test_our_networks_list_their_simam_in_the_order_that_they_are_run_in(name):
    """So the last one is told by its class, and no graph is traced for it."""
    network = NETWORKS[name]
    made = create(network, widths=[8] * len(network.widths)).eval()
    listed = [key for key, part in made.named_modules() if isinstance(part, SimAM)]
    assert list(site_shapes(made, (1, *network.family.input_shape))) == listed
