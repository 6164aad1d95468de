"""What mmdetection's configuration says of a two-stage detector."""

import argparse
from dataclasses import fields

import pytest
import torch

from simam_deploy.errors import InputError
from simam_deploy.models.detectors.settings import DetectorSettings
from simam_deploy.source.stated.detector.reading import read_detector
from simam_deploy.source.stated.fields import held
from tests.source.stated.configs import VERSION_2, VERSION_3

SHORT = "model = dict(type='FasterRCNN')"


def read(text):
    return read_detector(held(text, "meta.config."))


def with_change(text, old, new):
    assert text.count(old) >= 1, old
    return text.replace(old, new)


def test_version_2():
    stated = read(VERSION_2)
    assert stated.settings == DetectorSettings()
    assert {name: claim.value for name, claim in stated.claims.items()} == {
        "depth": 101, "fpn_width": 256, "rpn_width": 256, "roi_size": 7, "fc_width": 1024,
        "classes": 80, "class_agnostic": False, "masks": True, "mask_width": 256, "mask_layers": 4,
    }  # fmt: skip
    assert stated.assumed == ("finest_scale",)
    assert stated.places["rpn_iou"] == "file (meta.config.test_cfg.rpn.nms_thr)"
    assert list(stated.said()) == ["assumed of the detector, as published: finest_scale 56"]


def test_version_3():
    """Every value is another than the published one, but for those that are preset."""
    stated = read(VERSION_3)
    assert stated.settings == DetectorSettings(
        scales=(4.0, 4 * 2**0.5), ratios=(1.0, 3.0), box_stds=(0.05, 0.05, 0.1, 0.1), nms_pre=500,
        rpn_iou=0.8, max_proposals=300, min_size=2.0, sampling_ratio=2, finest_scale=112.0,
        score_threshold=0.01, iou_threshold=0.6, max_detections=50,
    )  # fmt: skip
    assert {name: claim.value for name, claim in stated.claims.items()} == {
        "depth": 50, "fpn_width": 256, "roi_size": 7, "classes": 3, "class_agnostic": True,
        "masks": False,
    }  # fmt: skip
    assert stated.assumed == ("mask_size", "mask_threshold")
    lines = list(stated.said())
    assert "nms_pre 500, file (meta.config.model.test_cfg.rpn.nms_pre)" in lines
    assert "box_stds [0.05, 0.05, 0.1, 0.1], file (meta.config.model.roi_head.bbox_head.bbox_coder"
    assert lines[-1] == "assumed of the detector, as published: mask_size 14, mask_threshold 0.5"
    assert len(lines) == 13
    assert all(line.isprintable() and len(line) < 160 for line in lines)


def test_what_nobody_says_is_assumed_and_named():
    stated = read(SHORT)
    assert stated.settings == DetectorSettings()
    assert stated.claims == {"masks": stated.claims["masks"]}
    (line,) = stated.said()
    assert line.startswith("assumed of the detector, as published: strides [4, 8, 16, 32, 64], sca")
    assert stated.assumed == tuple(field.name for field in fields(DetectorSettings))
    assert stated.places == {}


@pytest.mark.parametrize(
    ("old", "new", "name", "value"),
    [
        ("nms_post=1000", "nms_post=1000, max_per_img=1000", "max_proposals", 1000),
        ("nms_thr=0.7", "nms=dict(type='nms', iou_thr=0.6)", "rpn_iou", 0.6),
        ("nms_thr=0.7", "nms=dict(type='nms', iou_threshold=0.6, split_thr=9)", "rpn_iou", 0.6),
        ("iou_threshold=0.5", "iou_thr=0.25", "iou_threshold", 0.25),
        ("score_thr=0.05", "score_thr=1 / 8", "score_threshold", 0.125),
        ("score_thr=0.05", "score_thr=0", "score_threshold", 0.0),
        ("mask_thr_binary=0.5", "mask_thr_binary=0.3", "mask_threshold", 0.3),
        ("output_size=7, sampling_ratio=0", "out_size=7, sample_num=0", "sampling_ratio", 0),
        ("output_size=14, sampling_ratio=0", "output_size=10, pool_mode='avg', aligned=True, "
         "use_torchvision=False", "mask_size", 10),
        ("scales=[8]", "scales=[4, 8.5], base_sizes=[4, 8, 16, 32, 64]", "scales", (4.0, 8.5)),
        ("ratios=[0.5, 1.0, 2.0]", "ratios=(1,), center_offset=0.0, centers=None", "ratios",
         (1.0,)),
        ("target_stds=[1.0, 1.0, 1.0, 1.0]", "clip_border=True, add_ctr_clamp=False", "rpn_stds",
         (1.0,) * 4),
        ("target_stds=[0.1, 0.1, 0.2, 0.2]", "ctr_clamp=32", "box_stds", (1.0,) * 4),
        ("target_means=[0.0, 0.0, 0.0, 0.0]", "target_means=[0, 0.5, 0, -1]", "box_means",
         (0.0, 0.5, 0.0, -1.0)),
        ("in_channels=256,\n            fc", "reg_decoded_bbox=True, fc", "nms_pre", 1000),
        ("num_outs=5", "num_outs=5, start_level=0, end_level=-1, add_extra_convs=False, "
         "relu_before_extra_convs=True, upsample_cfg=dict(mode='nearest')", "nms_pre", 1000),
        ("'StandardRoIHead'", "'mmdet.StandardRoIHead'", "nms_pre", 1000),
    ],
)  # fmt: skip
def test_each_spelling(old, new, name, value):
    assert getattr(read(with_change(VERSION_2, old, new)).settings, name) == value


TESTS = "test_cfg.rcnn."
REFUSED = [
    ("'MaskRCNN'", "'CascadeRCNN'", "type is 'CascadeRCNN', file (meta.config.model.type): "),
    ("'MaskRCNN'", "'RetinaNet'", "type is 'RetinaNet', "),
    ("'MaskRCNN'", "7", "type is 7, file (meta.config.model.type): a detector here has"),
    ("type='nms', iou", "type='soft_nms', iou", f"type is 'soft_nms', file (meta.config.{TESTS}n"),
    ("nms=dict(type='nms', iou_threshold=0.5)", "nms='soft_nms'",
     f"nms is 'soft_nms', file (meta.config.{TESTS}nms): wanted one dict"),
    ("type='nms', iou", "class_agnostic=True, iou", "class_agnostic is True, "),
    ("nms_across_levels=False,\n        nms_pre=1000", "nms_across_levels=True",
     "nms_across_levels is True, file (meta.config.test_cfg.rpn.nms_across_levels): "),
    ("use_sigmoid=True, ", "", "use_sigmoid is None, file (meta.config.model.rpn_head.loss_cls"),
    ("use_sigmoid=True", "use_sigmoid=False", "an RPN with a softmax is not known here"),
    ("use_sigmoid=False", "use_sigmoid=True", "use_sigmoid is True, file (meta.config.model.ro"),
    ("'RoIAlign', output_size=7", "'RoIPool', output_size=7", "type is 'RoIPool', file (meta.conf"),
    ("output_size=7", "output_size=7, pool_mode='max'", "pool_mode is 'max', "),
    ("output_size=7", "output_size=7, aligned=False", "aligned is False, "),
    ("featmap_strides=[4, 8, 16, 32]", "featmap_strides=[4, 8, 16]", "featmap_strides is [4, 8"),
    ("'FPN'", "'PAFPN'", "type is 'PAFPN', file (meta.config.model.neck.type): a detector here has "
     "'FPN'"),
    ("neck=dict(", "neck=[dict(type='FPN'), dict(type='BFP')], bbox_head=dict(",
     "neck is [..., ...], file (meta.config.model.neck): wanted one dict"),
    ("num_outs=5", "num_outs=5, add_extra_convs='on_input'", "add_extra_convs is 'on_input', "),
    ("num_outs=5", "num_outs=5, start_level=1", "start_level is 1, "),
    ("num_outs=5", "num_outs=4", "num_outs is 4, file (meta.config.model.neck.num_outs): a detect"),
    ("num_outs=5", "num_outs=5, norm_cfg=norm_cfg", "norm_cfg is a dict, file (meta.config.mod"),
    ("num_outs=5", "num_outs=5, upsample_cfg=dict(mode='bilinear')", "mode is 'bilinear', "),
    ("strides=[4, 8, 16, 32, 64]", "strides=[8, 16, 32, 64, 128]", "strides is [8, 16, 32, 64,"),
    ("strides=[4, 8, 16, 32, 64]", "strides=[(4, 8), 8, 16, 32, 64]", "strides is [..., 8, 16,"),
    ("scales=[8]", "scales=[8], center_offset=0.5", "center_offset is 0.5, "),
    ("scales=[8]", "scales=[8], centers=[(0, 0)]", "centers is [...], "),
    ("scales=[8]", "scales=[8], base_sizes=[32]", "base_sizes is [32], "),
    ("scales=[8]", "octave_base_scale=4", "wanted scales, or both of these"),
    ("scales=[8]", "octave_base_scale=4, scales_per_octave=1 << 40", "scales_per_octave is no"),
    ("scales=[8]", "octave_base_scale=4, scales_per_octave=99999", "scales_per_octave is 99999, "),
    ("scales=[8]", "scales=8", "scales is 8, file (meta.config.model.rpn_head.anchor_generator"),
    ("scales=[8]", "scales=['8']", "scales is ['8'], "),
    ("scales=[8]", "scales=[]", "scales is [], "),
    ("scales=[8]", "scales=[-8]", "a detector cannot compute with scales (-8.0,): it must be a"),
    ("scales=[8]", f"scales=[{'8, ' * 99}]", "scales is a list, "),
    ("'AnchorGenerator'", "'LegacyAnchorGenerator'", "type is 'LegacyAnchorGenerator', "),
    ("target_means", "clip_border=False, target_means", "clip_border is False, "),
    ("target_means", "add_ctr_clamp=True, target_means", "add_ctr_clamp is True, "),
    ("[0.1, 0.1, 0.2, 0.2]", "[0.1, 0.1, 0.2]", "a detector cannot compute with box_stds (0.1,"),
    ("'DeltaXYWHBBoxCoder'", "'BucketingBBoxCoder'", "type is 'BucketingBBoxCoder', "),
    ("'StandardRoIHead'", "'MaskScoringRoIHead'", "type is 'MaskScoringRoIHead', "),
    ("'Shared2FCBBoxHead'", "'DoubleConvFCBBoxHead'", "type is 'DoubleConvFCBBoxHead', "),
    ("'FCNMaskHead'", "'CoarseMaskHead'", "type is 'CoarseMaskHead', "),
    ("style='pytorch'", "style='caffe'", "style is 'caffe', file (meta.config.model.backbone.s"),
    ("norm_cfg=norm_cfg", "norm_cfg=dict(type='GN')", "type is 'GN', "),
    ("norm_cfg=norm_cfg", "norm_cfg=dict(type='BN', eps=0.001)", "eps is 0.001, "),
    ("nms_pre=1000", "nms_pre=99999999", "with nms_pre 99999999: it must be from 1 to 10000, f"),
    ("nms_pre=1000", "nms_pre=-1", "with nms_pre -1: "),
    ("nms_pre=1000", "nms_pre=12.5", "nms_pre is 12.5, "),
    ("nms_pre=1000", "nms_pre='1000'", "nms_pre is '1000', file (meta.config.test_cfg.rpn.nms_"),
    ("nms_pre=1000", "nms_pre=True", "nms_pre is True, "),
    ("nms_post=1000", "nms_post=300", "1000, file (meta.config.test_cfg.rpn.max_num), and 300,"),
    ("nms_thr=0.7", "nms_thr=0.7, nms=dict(iou_threshold=0.5)", "must be the same here"),
    ("score_thr=0.05", "score_thr=-0.5", "with score_threshold -0.5: it must be from 0 to 1, f"),
    ("score_thr=0.05", "score_thr=1e300", "with score_threshold 1e+300: "),
    ("max_per_img=100", "max_per_img=-1", "with max_detections -1: "),
    ("mask_thr_binary=0.5", "mask_thr_binary=-1", "with mask_threshold -1.0: "),
    ("output_size=7", "output_size=(7, 9)", "output_size is [7, 9], "),
    ("output_size=14", "output_size=5000", "with mask_size 5000: it must be from 1 to 64, file "),
    ("output_size=14, sampling_ratio=0", "output_size=14, sampling_ratio=2", "0, file (meta.co"),
    ("roi_feat_size=7", "roi_feat_size=14", "7, file (meta.config.model.roi_head.bbox_roi_extr"),
    ("conv_out_channels=256,\n            num_classes=80", "num_classes=79", "80, file (meta.c"),
    ("roi_head=dict(", "roi_head=dict(shared_head=dict(type='ResLayer'),", "shared_head is a d"),
    ("reg_class_agnostic=False", "reg_class_agnostic='no'", "reg_class_agnostic is 'no', "),
    ("depth=101", "depth='a hundred and one, which is a lot'", "depth is 'a hundred and one, w"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), REFUSED)
def test_what_a_detector_here_cannot_do_is_one_clear_line(old, new, line):
    with pytest.raises(InputError) as caught:
        read(with_change(VERSION_2, old, new))
    message = str(caught.value)
    assert line in message
    assert "file (meta.config." in message
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize("said", ["10**30", "1e999", "float('nan')", "9" * 40, "pick()", "x"])
def test_what_is_no_literal_is_no_setting(said):
    """It is there, and so nothing is assumed in its place."""
    for name, part in (("nms_pre", "test_cfg.rpn."), ("min_bbox_size", "test_cfg.rpn.")):
        text = with_change(VERSION_2, "nms_thr=0.7,", f"nms_thr=0.7, {name}={said},")
        text = text.replace("nms_pre=1000,", "").replace("min_bbox_size=0", "")
        with pytest.raises(InputError) as caught:
            read(text)
        line = f"{name} is no literal, file (meta.config.{part}{name}): wanted a "
        assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{SHORT}\ntest_cfg = make()", "test_cfg is no literal, file (meta.config.test_cfg): "),
        (f"{SHORT}\ntest_cfg = dict(rpn=dict(nms_pre=7))\ntest_cfg.rpn.nms_pre = 8",
         "test_cfg is no literal, "),
        (f"{SHORT[:-1]}, neck=make())", "neck is no literal, file (meta.config.model.neck): "),
        (f"{SHORT[:-1]}, neck=dict(type=FPN))", "type is no literal, file (meta.config.model.neck"),
        (f"{SHORT[:-1]}, rpn_head=dict(anchor_generator=dict(scales=[8, x])))",
         "scales is [8, None], "),
    ],
)  # fmt: skip
def test_parts_that_are_no_literals(text, line):
    with pytest.raises(InputError) as caught:
        read(text)
    assert str(caught.value).startswith(line)


def of_tests(**rpn):
    return held({"model": {"type": "FasterRCNN", "test_cfg": {"rpn": rpn}}}, "meta.cfg.")


ENDLESS = {}
ENDLESS["nms"] = ENDLESS
CYCLE = [1.0]
CYCLE.append(CYCLE)


VALUES = [
    (float("nan"), "nan"),
    (float("-inf"), "-inf"),
    (10**5000, "an integer beyond 64 bits"),
    (-(2**64), "an integer beyond 64 bits"),
    ("\x1b[2J" + "x" * 5000, r"'\x1b[2J"),
    (b"1000", "a bytes"),
    (torch.ones(2), "a Tensor"),
    (torch.ones(2, device="meta"), "a Tensor"),
    (ENDLESS, "a dict"),
    (CYCLE, "[1, ...]"),
    ([[]] * 3, "[..., ..., ...]"),
    ({"a": 1}, "a dict"),
    (argparse.Namespace(), "a Namespace"),
]


@pytest.mark.parametrize(("value", "worded"), VALUES, ids=range(len(VALUES)))
@pytest.mark.parametrize("name", ["nms_pre", "min_bbox_size", "nms_across_levels"])
def test_values_that_are_none_of_a_setting(name, value, worded):
    """Of a configuration that was saved as a dict, and not as text."""
    with pytest.raises(InputError) as caught:
        read_detector(of_tests(**{name: value}))
    line = f"{name} is {worded}"
    assert str(caught.value).startswith(line)
    assert f", file (meta.cfg.model.test_cfg.rpn.{name}): " in str(caught.value)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


def test_a_dict_that_holds_itself_ends():
    with pytest.raises(InputError, match="type is 'x', file"):
        read_detector(of_tests(nms={"type": "x", "again": ENDLESS}))


def test_values_and_objects_are_read_as_texts_are():
    tests = argparse.Namespace(rpn={"nms_pre": 7}, rcnn={"nms": {"iou_threshold": 0.25}})
    anchors = {"type": "AnchorGenerator", "scales": (4, 8), "strides": (4, 8, 16, 32, 64)}
    model = {"type": "MaskRCNN", "test_cfg": tests, "rpn_head": {"anchor_generator": anchors}}
    settings = read_detector(held({"model": model}, "config.")).settings
    assert settings == DetectorSettings(nms_pre=7, iou_threshold=0.25, scales=(4.0, 8.0))


def test_a_loop_of_version_3_is_no_setting():
    with pytest.raises(InputError, match="test_cfg is 'TestLoop', file"):
        read(SHORT + "\ntest_cfg = dict(rpn=dict(nms_pre=7))".replace("dict(rpn=", "'TestLoop' #"))
    assert read(SHORT + "\ntest_cfg = dict(type='TestLoop')").places == {}
    assert read(SHORT + "\ntest_cfg = dict(rpn=dict(nms_pre=7))").settings.nms_pre == 7
