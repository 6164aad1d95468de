"""Whole detectors that take milliseconds: a ResNet-18 of 8 planes, a pyramid of 16 channels."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from simam_deploy.models.create import expected_shapes as backbone_shapes
from simam_deploy.models.detectors.build import build_detector
from simam_deploy.models.detectors.create import expected_shapes
from simam_deploy.models.detectors.detector import Detector
from simam_deploy.models.detectors.identity import DetectorIdentity, MaskSizes
from simam_deploy.models.detectors.settings import DetectorSettings
from simam_deploy.models.identify import identify
from simam_deploy.models.zoo import NETWORKS

SETTINGS = DetectorSettings(nms_pre=60, max_proposals=40, max_detections=12)
"""The authors', but for how many boxes are kept. At 64 x 96 the coarsest level is filled up."""
LAMBDA = 0.1


def identity(
    mask: bool = True, classes: int = 3, class_agnostic: bool = False, anchors: int = 3
) -> DetectorIdentity:
    """The identity of a tiny Mask R-CNN or Faster R-CNN."""
    network = NETWORKS["resnet18_backbone"]
    shapes = backbone_shapes(network, (8,), None)
    made = DetectorIdentity(
        backbone=identify({f"backbone.{key}": shape for key, shape in shapes.items()}),
        classes=classes,
        class_agnostic=class_agnostic,
        anchors=anchors,
        fpn_width=16,
        rpn_width=16,
        roi_size=7,
        fc_width=32,
        fc_layers=2,
        mask=MaskSizes(16, 4, classes) if mask else None,
        heads=(),
    )
    heads = tuple(key for key in expected_shapes(made) if not key.startswith("backbone."))
    return replace(made, heads=heads)


def weights(of: DetectorIdentity) -> dict[str, Tensor]:
    """Draw a state_dict by its keys, the same on every machine."""
    return {key: _drawn(key, shape) for key, shape in expected_shapes(of).items()}


def _drawn(key: str, shape: tuple[int, ...]) -> Tensor:
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
        noise = 1 + 0.1 * np.abs(noise)
    elif len(shape) == 1:
        noise = 0.1 * noise
    else:
        noise = noise * np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(noise * _SCALES.get(key, 1), np.float32))


_SCALES = {
    "rpn_head.rpn_cls.weight": 0.1,
    "rpn_head.rpn_reg.weight": 0.02,
    "roi_head.bbox_head.fc_cls.weight": 0.5,
    "roi_head.bbox_head.fc_reg.weight": 0.1,
    "roi_head.mask_head.conv_logits.weight": 0.3,
}
"""For boxes that stay in the picture and scores that are not all 0 or 1."""


def detector(
    mask: bool = True, settings: DetectorSettings = SETTINGS, **sizes: int | bool
) -> Detector:
    """Make one, in eval mode."""
    of = identity(mask, **sizes)  # type: ignore[arg-type]
    return build_detector(of, settings, weights(of), LAMBDA)


def inputs(count: int = 2, height: int = 64, width: int = 96) -> tuple[Tensor, Tensor]:
    """Draw normalised images of coarse and fine blocks, of which the right and lower edges are
    padding, and say their sizes without it."""
    rng = np.random.default_rng(count)
    coarse = rng.standard_normal((count, 3, height // 16, width // 16)).repeat(16, 2).repeat(16, 3)
    image = torch.from_numpy((coarse + 0.5 * rng.standard_normal(coarse.shape)).astype(np.float32))
    sizes = [[height - 4 * row, width - 8 * row - 3] for row in range(count)]
    for picture, (h, w) in zip(image, sizes, strict=True):
        picture[:, h:], picture[:, :, w:] = 0, 0
    return image, torch.tensor(sizes, dtype=torch.float32)
