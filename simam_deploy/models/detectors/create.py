"""Make a detector, and know its state_dict: the module is the one table of its keys."""

from __future__ import annotations

import torch

from simam_deploy.models.create import create
from simam_deploy.models.detectors.box_head import BoxHead
from simam_deploy.models.detectors.detector import Detector, RoIHead
from simam_deploy.models.detectors.fpn import FPN
from simam_deploy.models.detectors.identity import DetectorIdentity, MaskSizes
from simam_deploy.models.detectors.mask_head import MaskHead
from simam_deploy.models.detectors.rpn import RPN
from simam_deploy.models.detectors.settings import DetectorSettings


def create_detector(
    identity: DetectorIdentity, settings: DetectorSettings, e_lambda: float | None = None
) -> Detector:
    """Make a detector with fresh weights, in training mode.

    Args:
        identity: Kind and sizes.
        settings: What it computes with.
        e_lambda: SimAM's lambda; the published one if None.
    """
    trunk = identity.backbone
    network, (width, *_) = trunk.network, trunk.widths
    channels = [width * network.expansion * 2**stage for stage in range(len(network.blocks))]
    neck = FPN(channels, identity.fpn_width)
    rpn = RPN(identity.fpn_width, identity.rpn_width, identity.anchors, settings)
    backbone = create(network, e_lambda, trunk.widths, inner=trunk.inner)
    return Detector(backbone, neck, rpn, _roi_head(identity, settings))


def _roi_head(identity: DetectorIdentity, settings: DetectorSettings) -> RoIHead:
    box_head = BoxHead(
        identity.fpn_width * identity.roi_size**2,
        identity.fc_width,
        identity.fc_layers,
        identity.classes,
        identity.class_agnostic,
        settings,
    )
    mask_head = None if identity.mask is None else _mask_head(identity.fpn_width, identity.mask)
    return RoIHead(box_head, mask_head, identity.roi_size, settings)


def _mask_head(inputs: int, sizes: MaskSizes) -> MaskHead:
    return MaskHead(inputs, sizes.width, sizes.layers, sizes.planes)


def expected_shapes(identity: DetectorIdentity) -> dict[str, tuple[int, ...]]:
    """List the keys and shapes of a detector, without memory for its weights."""
    with torch.device("meta"):
        model = create_detector(identity, DetectorSettings())
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
