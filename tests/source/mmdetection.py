"""Checkpoints of tiny detectors as mmdetection 2 writes them, for the tests of several rooms."""

import pytest
import torch

from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions
from tests.models.detectors import tiny

CONFIG = """
model = dict(
    type='MaskRCNN',
    backbone=dict(type='ResNetAM', depth=18, attention_param=0.1, norm_eval=True),
    neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=16, num_outs=5),
    roi_head=dict(bbox_head=dict(num_classes=3), mask_head=dict(num_convs=4)),
    test_cfg=dict(
        rpn=dict(nms_pre=60, max_per_img=40, nms=dict(type='nms', iou_threshold=0.7)),
        rcnn=dict(max_per_img=12)))
img_norm_cfg = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
test_pipeline = [
    dict(type='Resize', img_scale=(96, 64), keep_ratio=True),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='Pad', size_divisor=32)]
"""
CLASSES = ("cat", "dog", "bird")
OUTPUTS = ("num_dets", "boxes", "scores", "labels", "masks")


def changed(old, new, text=CONFIG):
    assert old in text, old
    return text.replace(old, new)


@pytest.fixture
def save(tmp_path):
    """Write a tiny Mask R-CNN as mmdetection 2 does; `weights` are changed by name."""

    def write(config=CONFIG, classes=CLASSES, mask=True, weights=None, **file):
        made = {**tiny.weights(tiny.identity(mask)), **(weights or {})}
        state = {key: value for key, value in made.items() if value is not None}
        meta = {"config": config, "CLASSES": classes, "mmdet_version": "2.28.2"}
        torch.save({"meta": meta, "state_dict": state, **file}, tmp_path / "epoch_12.pth")
        return tmp_path / "epoch_12.pth"

    return write


def load(path, **options):
    return load_subject(path, NetworkOptions(**options))


def refusal(kind, path, **options):
    with pytest.raises(kind) as caught:
        load(path, **options)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 600
    return line, caught.value.options


def inputs_of(subject):
    with subject.reference() as runner:
        return runner.inputs
