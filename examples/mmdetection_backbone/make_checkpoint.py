"""Stand in for a training run of mmdetection: writes epoch_12.pth and picture.png.

A Faster R-CNN on a SimAM ResNet-18, as mmdetection 2 stores it: the configuration as text, beside
backbone, neck and heads. The backbone has a quarter of its width, and the heads a tensor each, for
the file's size; the weights are drawn, and the batch norms have seen noise.
"""

import numpy as np
import torch
from PIL import Image
from torch import nn

from simam_deploy import NETWORKS
from simam_deploy.models.create import create

E_LAMBDA = 0.0001
CONFIG = f"""
model = dict(
    type='FasterRCNN',
    backbone=dict(
        type='ResNetAM',
        depth=18,
        frozen_stages=1,
        norm_eval=True,
        attention_type='simam',
        attention_param={E_LAMBDA:.4f}),
    neck=dict(type='FPN', in_channels=[16, 32, 64, 128], out_channels=64, num_outs=5))
img_norm_cfg = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=(333, 200),
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip'),
            dict(type='Normalize', **img_norm_cfg),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img'])])]
"""
HEADS = {
    "neck.lateral_convs.0.conv.weight": (64, 16, 1, 1),
    "rpn_head.rpn_cls.weight": (3, 64, 1, 1),
    "roi_head.bbox_head.fc_cls.weight": (81, 256),
}


def backbone() -> nn.Module:
    """Draw the weights, and let the batch norms measure their statistics."""
    torch.manual_seed(0)
    made = create(NETWORKS["resnet18_backbone"], E_LAMBDA, widths=[16])
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        made.train()(torch.randn(4, 3, 128, 128))
    return made.eval()


def main() -> None:
    weights = {f"backbone.{key}": value for key, value in backbone().state_dict().items()}
    heads = {key: torch.randn(shape) / 10 for key, shape in HEADS.items()}
    meta = {"mmdet_version": "2.28.2", "config": CONFIG, "epoch": 12, "CLASSES": ("cat", "dog")}
    torch.save({"meta": meta, "state_dict": {**weights, **heads}}, "epoch_12.pth")
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(noise).resize((400, 300), Image.Resampling.BILINEAR).save("picture.png")
    print("epoch_12.pth, picture.png")


if __name__ == "__main__":
    main()
