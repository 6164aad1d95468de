"""Turn an identified detector's checkpoint into a module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from simam_deploy.errors import NetworkError
from simam_deploy.models.detectors.create import create_detector
from simam_deploy.models.detectors.detector import Detector
from simam_deploy.models.detectors.identity import DetectorIdentity
from simam_deploy.models.detectors.settings import DetectorSettings
from simam_deploy.models.fit import show


def build_detector(
    identity: DetectorIdentity,
    settings: DetectorSettings,
    weights: Mapping[str, Tensor],
    e_lambda: float | None,
) -> Detector:
    """Make the identified detector around `weights`, which are taken as they are, not copied.

    Args:
        identity: What `identify_detector` said about the shapes of these weights.
        settings: What it computes with beside them.
        weights: The checkpoint's state_dict: float tensors, int64 counters.
        e_lambda: SimAM's lambda; None for a backbone without SimAM.

    Returns:
        The detector in eval mode, without gradients; its keys are mmdetection's.

    Raises:
        NetworkError: The settings are another detector's; a key is missing or unexpected; a
            tensor has another shape.
    """
    if settings.anchors != identity.anchors:
        raise NetworkError(
            f"the weights are of {identity.anchors} anchors a cell, the settings of "
            f"{settings.anchors}: {len(settings.scales)} scales, {len(settings.ratios)} ratios"
        )
    strange = weights.keys() - identity.renames.keys() - set(identity.backbone.dropped)
    if strange:
        raise NetworkError(f"{show(min(strange))} is no tensor of a {identity.title}")
    state = {name: weights[key] for key, name in identity.renames.items() if key in weights}
    with torch.device("meta"):
        model = create_detector(identity, settings, e_lambda)
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise NetworkError(" ".join(str(error).split())) from None
    return model.requires_grad_(False).eval()
