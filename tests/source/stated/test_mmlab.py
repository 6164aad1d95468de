"""What mmdetection and its siblings leave in checkpoints."""

import pytest
import torch

from simam_deploy.core.facts import FACTS
from simam_deploy.source.checkpoint import load_checkpoint
from simam_deploy.source.stated.choice import take

VERSION_2 = """
model = dict(
    type='FasterRCNN',
    backbone=dict(
        type='ResNetAM', depth=50, attention_type='simam', attention_param=0.0001,
        norm_cfg=dict(type='BN', requires_grad=True)),
    rpn_head=dict(anchor_generator=dict(scales=[8], ratios=[0.5, 1.0, 2.0])))
img_norm_cfg = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=(1333, 800),
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip'),
            dict(
                type='Normalize',
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                to_rgb=True),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img'])
        ])
]
data = dict(
    samples_per_gpu=2,
    test=dict(type='CocoDataset', pipeline=test_pipeline))
"""
VERSION_3 = """
image_size = (1024, 1024)
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False, pad_mask=True, pad_size_divisor=64),
    backbone=dict(
        type='mmdet.ResNet', depth=50,
        plugins=[dict(cfg=dict(type='SimAM', lambda_=0.01), position='after_conv2')]))
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type='CocoDataset',
        pipeline=[
            dict(type='LoadImageFromFile', backend_args=None),
            dict(type='mmdet.Resize', scale=(640, 480), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_shape'))
        ]))
"""
NAMES = ("person", "car")
NORMAL = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}


class HistoryBuffer:
    """What mmengine's message hub holds; its class is not known here."""

    def __init__(self):
        self._log_history = torch.ones(2)


def version_3(text):
    """What mmengine's runner writes, the configuration twice."""
    hub = {"log_scalars": {"train/loss": HistoryBuffer()}, "runtime_info": {"cfg": text}}
    return {
        "meta": {"cfg": text, "dataset_meta": {"classes": NAMES, "palette": [(1, 2, 3)]}},
        "message_hub": hub,
    }


def said(checkpoint, what):
    return [(one.value, one.where) for one in getattr(checkpoint.stated, what)]


def test_version_2(save, weights):
    meta = {"config": VERSION_2, "CLASSES": NAMES, "mmdet_version": "2.28.2", "epoch": 12}
    read = load_checkpoint(save({"meta": meta, "state_dict": weights}))
    where = "meta.config.model.backbone.attention_param"
    assert said(read, "lambdas") == [(0.0001, f"file ({where})")]
    assert said(read, "classes") == [(NAMES, "file (meta.CLASSES)")]
    pipeline = "file (meta.config.data.test.pipeline)"
    assert said(read, "levels") == [({"color": "RGB", "scale": 1.0, **NORMAL}, pipeline)]
    fit = {"resize": [1333, 800], "keep_ratio": True, "pad_divisor": 32}
    assert said(read, "fits") == [(fit, pipeline)]
    assert said(read, "sizes") == [((800, 1344), pipeline)]


def test_version_3(save, weights):
    read = load_checkpoint(save({**version_3(VERSION_3), "state_dict": weights}))
    where = "meta.cfg.model.backbone.plugins.cfg.lambda_"
    assert said(read, "lambdas") == [(0.01, f"file ({where})")]
    assert said(read, "classes") == [(NAMES, "file (meta.dataset_meta.classes)")]
    ((levels, place),) = said(read, "levels")
    assert levels == {
        "color": "BGR", "scale": 1.0, "mean": [103.53, 116.28, 123.675], "std": [1, 1, 1]
    }  # fmt: skip
    assert place == "file (meta.cfg.model.data_preprocessor)"
    pipeline = "file (meta.cfg.test_dataloader.dataset.pipeline)"
    fit = {"resize": [640, 480], "keep_ratio": True, "pad_divisor": 64}
    assert said(read, "fits") == [(fit, pipeline)]
    assert said(read, "sizes") == [((512, 640), pipeline)]
    facts = take(read.stated, (1, 3, 512, 640)).facts
    assert FACTS["preprocessing"].holds(facts["preprocessing"])
    assert facts["classes"] == list(NAMES)


def pipeline_of(*steps):
    return f"test_pipeline = [{', '.join(steps)}]\nmodel = dict(type='X')"


@pytest.mark.parametrize(
    ("steps", "fit", "size"),
    [
        (("dict(type='ResizeEdge', scale=256, edge='short')",
          "dict(type='CenterCrop', crop_size=224)"),
         {"resize": 256, "crop": 224}, (224, 224)),
        (("dict(type='Resize', size=(256, -1))", "dict(type='CenterCrop', crop_size=224)"),
         {"resize": 256, "crop": 224}, (224, 224)),
        (("dict(type='Resize', size=(64, 32))",), {"resize": [32, 64], "stretch": True}, (64, 32)),
        (("dict(type='Resize', scale=(640, 320), keep_ratio=False)",),
         {"resize": [640, 320], "stretch": True}, (320, 640)),
        (("dict(type='Resize', scale=(640, 320))",),
         {"resize": [640, 320], "stretch": True}, (320, 640)),
        (("dict(type='Resize', img_scale=[(640, 320)])",),
         {"resize": [640, 320], "keep_ratio": True}, (320, 640)),
        (("dict(type='YOLOv5KeepRatioResize', scale=(640, 640))",
          "dict(type='LetterResize', scale=(640, 640), pad_val=dict(img=114))"),
         {"resize": [640, 640], "keep_ratio": True, "pad": "centre", "pad_value": 114.0,
          }, (640, 640)),
        (("dict(type='ResizeEdge', scale=256, edge='long')",), None, None),
        (("dict(type='ResizeEdge', scale=224)", "dict(type='CenterCrop', crop_size=256)"),
         None, None),
        (("dict(type='Resize', size=(64, 64))", "dict(type='CenterCrop', crop_size=32)"),
         None, None),
        (("dict(type='LetterResize', scale=(64, 64), pad_val=999)",), None, None),
        (("dict(type='Resize', scale=(640, 320), keep_ratio=True)",
          "dict(type='Pad', size=(640, 320), pad_val=dict(img=(114, 114, 114)))"),
         {"resize": [640, 320], "keep_ratio": True, "pad_value": 114.0},
         (320, 640)),
        (("dict(type='Resize', scale=(640, 320), keep_ratio=True)",
          "dict(type='Pad', size_divisor=64)"),
         {"resize": [640, 320], "keep_ratio": True, "pad_value": 0.0, "pad_divisor": 64},
         (320, 640)),
        (("dict(type='Resize', scale=(640, 320), keep_ratio=True)",
          "dict(type='Pad', size=(640, 640))"), None, None),
        (("dict(type='Resize', scale=(640, 320), keep_ratio=True)", "dict(type='Normalize')",
          "dict(type='Pad', size_divisor=32, pad_val=114)"), None, None),
        (("dict(type='Resize', scale=(640, 320), keep_ratio=True)",
          "dict(type='Pad', size_divisor=32, pad_val=dict(img=(103, 116, 123)))"), None, None),
        (("dict(type='RatioCrop', crop_size=3)", "dict(type='ResizeEdge', scale=256)"),
         None, None),
        (("dict(type='Resize', img_scale=[(640, 320), (320, 160)])",), None, None),
        (("dict(type='LoadImageFromFile')",), None, None),
    ],
)  # fmt: skip
def test_how_a_picture_is_brought_to_size(steps, fit, size, weights, tmp_path):
    """What does something that is not known here leaves it open."""
    path = tmp_path / "m.pth"
    torch.save({"meta": {"config": pipeline_of(*steps)}, "state_dict": weights}, path)
    stated = load_checkpoint(path).stated
    assert [one.value for one in stated.fits] == ([] if fit is None else [fit])
    assert all(FACTS["preprocessing"].holds(one.value) for one in stated.fits)
    assert [one.value for one in stated.sizes] == ([] if size is None else [size])


def test_normalisation_has_its_places(weights, tmp_path):
    """The steps of testing come before the preprocessor, and that before a name."""
    texts = [
        "img_norm_cfg = dict(mean=[1], std=[2], to_rgb=True)\nmodel = dict(type='X')",
        "data_preprocessor = dict(mean=[3, 3, 3], std=[2, 2, 2], to_rgb=True)",
        "test_pipeline = [dict(type='Normalize', mean=[4, 4, 4], std=[2, 2, 2], to_rgb=False)]",
    ]
    for count, mean, color in ((1, [1], "RGB"), (2, [3] * 3, "RGB"), (3, [4] * 3, "BGR")):
        path = tmp_path / "m.pth"
        torch.save({"meta": {"cfg": "\n".join(texts[:count])}, "state_dict": weights}, path)
        (levels,) = load_checkpoint(path).stated.levels
        assert (levels.value["mean"], levels.value["color"]) == (mean, color)


def test_places_that_disagree_are_left_open(weights, tmp_path):
    meta = {"CLASSES": NAMES, "dataset_meta": {"classes": ("dog", "cat")}}
    torch.save({"meta": meta, "state_dict": weights}, tmp_path / "m.pth")
    taken = take(load_checkpoint(tmp_path / "m.pth").stated, (1, 3, 8, 8))
    assert "classes" not in taken.facts
    assert taken.notes == (
        "two lists of class names: person, car, file (meta.CLASSES), and dog, cat, "
        "file (meta.dataset_meta.classes): neither is taken",
    )
