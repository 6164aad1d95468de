"""What a configuration says of a detector's sizes, held against the weights."""

from dataclasses import replace

import pytest

from simam_deploy.errors import InputError
from simam_deploy.models.detectors.identity import DetectorIdentity, MaskSizes
from simam_deploy.models.identify import Identity
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.source.stated.detector.check import SHOWN, check
from simam_deploy.source.stated.detector.reading import StatedDetector, read_detector
from simam_deploy.source.stated.fields import held
from tests.source.stated.configs import VERSION_2, VERSION_3

MASK_R101 = DetectorIdentity(
    backbone=Identity(NETWORKS["resnet101_backbone"], None, (64,), {}),
    classes=80, class_agnostic=False, anchors=3, fpn_width=256, rpn_width=256, roi_size=7,
    fc_width=1024, fc_layers=2, mask=MaskSizes(), heads=(),
)  # fmt: skip
R50 = Identity(NETWORKS["resnet50_backbone"], None, (64,), {})
FASTER_R50 = replace(MASK_R101, backbone=R50, classes=3, class_agnostic=True, anchors=4, mask=None)


def read(text):
    return read_detector(held(text, "meta.config."))


def test_configurations_of_these_weights():
    check(MASK_R101, read(VERSION_2))
    check(FASTER_R50, read(VERSION_3))
    check(MASK_R101, StatedDetector())


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("num_classes=80", "num_classes=20", "classes is 20, file (meta.config.model.roi_head.bbox_"
         "head.num_classes): by the weights it is 80"),
        ("depth=101", "depth=50", "depth is 50, file (meta.config.model.backbone.depth): by the wei"
         "ghts it is 101"),
        ("reg_class_agnostic=False", "reg_class_agnostic=True", "class_agnostic is True, file"),
        ("num_convs=4", "num_convs=4, class_agnostic=True", "mask_agnostic is True, file (meta"),
        ("num_convs=4", "num_convs=2", "mask_layers is 2, "),
        ("conv_out_channels=256", "conv_out_channels=128", "mask_width is 128, "),
        ("=7", "=14", "roi_size is 14, file (meta.config.model.roi_head.bbox_roi_extractor.roi"),
        ("fc_out_channels=1024", "fc_out_channels=256", "fc_width is 256, "),
        ("reg_class_agnostic", "num_shared_fcs=1, reg_class_agnostic", "fc_layers is 1, "),
        (" out_channels=256, num", " out_channels=128, num", "fpn_width is 128, "),
        ("feat_channels=256", "feat_channels=99", "rpn_width is 99, "),
        ("scales=[8]", "scales=[4, 8, 16]", "3 scales and 3 ratios of anchors, file (meta.config."
         "model.rpn_head.anchor_generator.scales): by the weights a cell has 3 anchors"),
        ("ratios=[0.5, 1.0, 2.0]", "ratios=[1.0]", "1 scales and 1 ratios of anchors, file ("),
    ],
)  # fmt: skip
def test_a_configuration_of_other_weights(old, new, line):
    assert old in VERSION_2
    with pytest.raises(InputError) as caught:
        check(MASK_R101, read(VERSION_2.replace(old, new)))
    assert str(caught.value).startswith(line)


def test_masks_are_there_or_not():
    faster = replace(MASK_R101, mask=None)
    with pytest.raises(
        InputError, match=r"^masks is True, file \(meta.config.model.roi_head.mask_"
    ):
        check(faster, read(VERSION_2))
    for kind, right, other in (("MaskRCNN", MASK_R101, faster), ("FasterRCNN", faster, MASK_R101)):
        stated = read(f"model = dict(type='{kind}')")
        check(right, stated)
        with pytest.raises(InputError, match=r"^masks is \w+, file \(meta.config.model.type\)"):
            check(other, stated)


def test_of_one_class_its_boxes_are_all_classes_boxes():
    one = replace(MASK_R101, classes=1, mask=MaskSizes(planes=1))
    for word in ("True", "False"):
        text = f"bbox_head=dict(reg_class_agnostic={word}), mask_head=dict(class_agnostic={word})"
        check(one, read(f"model = dict(type='MaskRCNN', roi_head=dict({text}))"))


def test_anchors_that_nobody_says():
    with pytest.raises(
        InputError, match=r"^1 scales and 3 ratios of anchors, as published and not"
    ):
        check(replace(MASK_R101, anchors=9), StatedDetector())


@pytest.mark.parametrize("network", [n for n in NETWORKS if n.endswith("_backbone")])
def test_depths_are_those_of_the_names(network):
    found = replace(MASK_R101, backbone=replace(R50, network=NETWORKS[network]))
    digits = "".join(c for c in network.split("_")[0] if c.isdigit())
    assert SHOWN["depth"](found) == int(digits)
