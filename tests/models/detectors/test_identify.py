"""Detectors are told by keys and shapes; damaged and foreign ones are named in one line."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from simam_deploy.errors import NetworkError, UsageError
from simam_deploy.models.create import expected_shapes as backbone_shapes
from simam_deploy.models.detectors.create import expected_shapes
from simam_deploy.models.detectors.identify import identify_detector, looks_like_detector
from simam_deploy.models.detectors.identity import MaskSizes
from simam_deploy.models.identify import identify
from simam_deploy.models.spelling import PLAIN
from simam_deploy.models.zoo import NETWORKS
from tests.golden.detectors import golden_shapes
from tests.models.detectors import tiny

Shapes = dict[str, tuple[int, ...]]
BOX, MASK = "roi_head.bbox_head.", "roi_head.mask_head."


def faster() -> Shapes:
    return golden_shapes("faster_rcnn_r50")


def masked() -> Shapes:
    return golden_shapes("mask_rcnn_r50")


def without(shapes: Shapes, *prefixes: str) -> Shapes:
    return {key: shape for key, shape in shapes.items() if not key.startswith(prefixes)}


def trunk() -> Shapes:
    return without(faster(), "roi_head.", "rpn_head.")


def renamed(shapes: Shapes, old: str, new: str) -> Shapes:
    return {key.replace(old, new): shape for key, shape in shapes.items()}


def refusal(shapes: Shapes) -> str:
    with pytest.raises(NetworkError) as caught:
        identify_detector(shapes)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


def test_the_published_ones() -> None:
    identity = identify_detector(faster())
    assert (identity.kind, identity.title) == ("faster_rcnn", "Faster R-CNN")
    assert identity.backbone.network.name == "resnet50_backbone"
    assert (identity.classes, identity.class_agnostic, identity.anchors) == (80, False, 3)
    assert (identity.fpn_width, identity.rpn_width, identity.roi_size) == (256, 256, 7)
    assert (identity.fc_width, identity.fc_layers, identity.mask) == (1024, 2, None)
    assert identity.renames == {key: key for key in faster()}
    identity = identify_detector(masked())
    assert (identity.kind, identity.title) == ("mask_rcnn", "Mask R-CNN")
    assert identity.mask == MaskSizes(256, 4, 80)


def test_the_module_has_the_keys_and_shapes_of_mmdetection() -> None:
    for shapes in (faster(), masked()):
        assert expected_shapes(identify_detector(shapes)) == shapes


@pytest.mark.parametrize("mask", [False, True])
def test_resnet_101(mask: bool) -> None:
    network = NETWORKS["resnet101_backbone"]
    heads = without(masked() if mask else faster(), "backbone.")
    shapes = backbone_shapes(network, (64,), None)
    whole = {f"backbone.{key}": shape for key, shape in shapes.items()} | heads
    identity = identify_detector(whole)
    assert identity.backbone.network == network
    assert len(whole) == (666 if mask else 654)


@pytest.mark.parametrize(
    "made",
    [
        tiny.identity(),
        tiny.identity(mask=False, classes=1),
        tiny.identity(classes=7, class_agnostic=True),
        replace(tiny.identity(False), anchors=9, rpn_width=24, roi_size=5, fc_width=40),
        replace(tiny.identity(False), fc_layers=1),
        replace(tiny.identity(), mask=MaskSizes(24, 2, 3)),
        replace(tiny.identity(), mask=MaskSizes(16, 4, 1)),
    ],
)
def test_any_sizes(made) -> None:
    shapes = expected_shapes(made)
    identity = identify_detector(shapes)
    assert replace(identity, heads=made.heads) == made
    assert expected_shapes(identity) == shapes


def test_counters_may_be_missing_and_a_classifier_be_there() -> None:
    shapes = {k: s for k, s in faster().items() if not k.endswith("num_batches_tracked")}
    identity = identify_detector(shapes | {"backbone.fc.weight": (1000, 2048)})
    assert identity.renames == {key: key for key in shapes}


def test_what_looks_like_one() -> None:
    assert looks_like_detector(faster())
    assert looks_like_detector(RETINANET)
    assert not looks_like_detector(without(trunk(), "neck."))
    assert not looks_like_detector(backbone_shapes(NETWORKS["resnet18"], (64,), 1000))
    assert identify(faster()).network.name == "resnet50_backbone"  # its backbone alone, as ever


def test_a_plain_backbone_needs_its_name() -> None:
    shapes = {PLAIN.respell(key): shape for key, shape in faster().items()}
    assert "show no SimAM" in refusal(shapes)
    identity = identify_detector(shapes, "resnet50_backbone")
    assert set(identity.renames.values()) == set(faster())
    with pytest.raises(UsageError, match="resnet101_backbone does not fit"):
        identify_detector(faster(), "resnet101_backbone")


RETINANET = trunk() | {
    "bbox_head.retina_cls.weight": (720, 256, 3, 3),
    "bbox_head.retina_reg.weight": (36, 256, 3, 3),
    "bbox_head.cls_convs.0.conv.weight": (256, 256, 3, 3),
}
FCOS = trunk() | {
    "bbox_head.cls_convs.0.gn.weight": (256,),
    "bbox_head.conv_cls.weight": (80, 256, 3, 3),
    "bbox_head.conv_centerness.weight": (1, 256, 3, 3),
    "bbox_head.scales.0.scale": (),
}
SE = {"backbone.layer1.0.bn3.1.fc.0.weight": (16, 256)}

FOREIGN: dict[str, tuple[Callable[[], Shapes], str]] = {
    "mmdetection 1.x": (
        lambda: renamed(faster(), "roi_head.bbox_head", "bbox_head"),
        "of mmdetection 1.x, which counts the background as class 0",
    ),
    "softmax RPN": (
        lambda: (
            faster() | {"rpn_head.rpn_cls.weight": (6, 256, 1, 1), "rpn_head.rpn_cls.bias": (6,)}
        ),
        "rpn_head.rpn_cls.weight has 6 rows for 3 anchors a cell: this RPN ends in a softmax",
    ),
    "Cascade R-CNN": (lambda: renamed(faster(), BOX, f"{BOX}0."), "a tensor of a Cascade R-CNN"),
    "Cascade Mask R-CNN": (
        lambda: renamed(renamed(masked(), BOX, f"{BOX}2."), MASK, f"{MASK}2."),
        "a tensor of a Cascade R-CNN",
    ),
    "RetinaNet": (lambda: RETINANET, "bbox_head.retina_cls.weight is a tensor of a RetinaNet"),
    "FCOS": (lambda: FCOS, "bbox_head.conv_centerness.weight is a tensor of an FCOS"),
    "ATSS": (lambda: trunk() | {"bbox_head.atss_cls.weight": (80,)}, "a tensor of an ATSS"),
    "another one-stage": (lambda: trunk() | {"bbox_head.x.weight": (8,)}, "another one-stage"),
    "Double-Head": (lambda: faster() | {f"{BOX}fc_branch.0.weight": (8,)}, "a Double-Head R-CNN"),
    "4conv1fc": (lambda: faster() | {f"{BOX}shared_convs.0.conv.weight": (8,)}, "has convolutions"),
    "Mask Scoring": (lambda: masked() | {"roi_head.mask_iou_head.x": (8,)}, "Mask Scoring R-CNN"),
    "torchvision": (
        lambda: {"backbone.body.conv1.weight": (64, 3, 7, 7), "roi_heads.box_head.fc6.bias": (9,)},
        "torchvision's R-CNN",
    ),
    "Detectron2": (
        lambda: {"backbone.bottom_up.stem.conv1.weight": (64,), "roi_heads.x": (9,)},
        "a Detectron2 model",
    ),
    "no neck": (lambda: without(faster(), "neck."), "there is no neck.*, so this detector has no"),
    "no RPN": (lambda: without(faster(), "rpn_head."), "so this is a Fast R-CNN"),
    "an RPN alone": (lambda: without(faster(), "roi_head."), "no detector but an RPN"),
    "SE backbone": (lambda: faster() | SE, "is a parameter of SE attention"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_detectors_are_named(kind: str) -> None:
    make, said = FOREIGN[kind]
    assert looks_like_detector(make())
    assert said in refusal(make())


DAMAGED: dict[str, tuple[Callable[[], Shapes], str]] = {
    "no mask predictor": (
        lambda: without(masked(), f"{MASK}conv_logits"),
        "nearest to a Mask R-CNN of 80 classes, where 40 of 42 keys fit: "
        f"{MASK}conv_logits.weight is missing; {MASK}conv_logits.bias is missing",
    ),
    "no upsampling": (lambda: without(masked(), f"{MASK}upsample"), "upsample.weight is missing"),
    "a mask layer gone": (
        lambda: without(masked(), f"{MASK}convs.1."),
        f"{MASK}convs.2.conv.weight is unexpected",
    ),
    "a box layer's weight gone": (
        lambda: without(faster(), f"{BOX}shared_fcs.1.weight"),
        f"{BOX}shared_fcs.1.bias is unexpected",
    ),
    "no classifier": (lambda: without(faster(), f"{BOX}fc_cls"), f"{BOX}fc_cls.weight is missing"),
    "no regressor": (lambda: without(faster(), f"{BOX}fc_reg"), f"{BOX}fc_reg.weight is missing"),
    "no RPN predictor": (
        lambda: without(faster(), "rpn_head.rpn_cls"),
        "rpn_head.rpn_cls.weight is missing",
    ),
    "a lateral layer gone": (
        lambda: without(faster(), "neck.lateral_convs.2."),
        "neck.lateral_convs.2.conv.weight is missing",
    ),
    "a pyramid of five convolutions": (
        lambda: faster() | {"neck.fpn_convs.4.conv.weight": (256, 256, 3, 3)},
        "neck.fpn_convs.4.conv.weight is unexpected",
    ),
    "classes changed in one place": (
        lambda: faster() | {f"{BOX}fc_cls.weight": (21, 1024), f"{BOX}fc_cls.bias": (21,)},
        f"20 classes, where 28 of 30 keys fit: {BOX}fc_reg.weight is (320, 1024), not (80, 1024)",
    ),
    "masks of other classes": (
        lambda: masked() | {f"{MASK}conv_logits.weight": (20, 256, 1, 1)},
        f"{MASK}conv_logits.weight is (20, 256, 1, 1), not (80, 256, 1, 1)",
    ),
    "anchors changed in one place": (
        lambda: faster() | {"rpn_head.rpn_cls.weight": (9, 256, 1, 1)},
        "rpn_head.rpn_cls.bias is (3,), not (9,); rpn_head.rpn_reg.weight is (12, 256, 1, 1), not",
    ),
    "no square of bins": (
        lambda: faster() | {f"{BOX}shared_fcs.0.weight": (1024, 256 * 48)},
        f"{BOX}shared_fcs.0.weight is (1024, 12288), not (1024, 12544)",
    ),
    "another backbone's pyramid": (
        lambda: faster() | {"neck.lateral_convs.3.conv.weight": (256, 512, 1, 1)},
        "neck.lateral_convs.3.conv.weight is (256, 512, 1, 1), not (256, 2048, 1, 1)",
    ),
    "a damaged backbone": (
        lambda: without(faster(), "backbone.layer3.2.conv2"),
        "the nearest is resnet50_backbone",
    ),
    "no backbone": (lambda: without(faster(), "backbone."), "holds no weights of a network"),
    "a stranger": (lambda: faster() | {"ema.weight": (3,)}, "ema.weight is unexpected"),
    "a scalar": (lambda: faster() | {f"{BOX}fc_cls.weight": ()}, "fc_cls.weight is (), not (81,"),
    "absurd width": (
        lambda: faster() | {"neck.lateral_convs.0.conv.weight": (10**15, 256, 1, 1)},
        "lateral_convs.0.conv.weight is (1000000000000000, 256, 1, 1), not (256, 256, 1, 1)",
    ),
    "a million layers": (
        lambda: faster() | {f"{BOX}shared_fcs.{n}.weight": (1024, 1024) for n in range(2, 60_000)},
        "is unexpected; and",
    ),
    "unprintable": (lambda: faster() | {"\n\x1b[2J" * 99: (3,)}, "is unexpected"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_ones_are_refused_by_what_is_wrong(kind: str) -> None:
    make, said = DAMAGED[kind]
    shapes, before = make(), time.process_time()
    assert said in refusal(shapes)
    # Measured 0.1 to 0.5 s; a mistake here takes minutes or all the memory.
    assert time.process_time() - before < 10


def test_no_torch_is_needed_to_ask_whether_it_looks_like_one() -> None:
    code = (
        "import sys; from simam_deploy.models.detectors import foreign, identify, settings;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
