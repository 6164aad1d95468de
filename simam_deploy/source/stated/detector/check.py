"""What a configuration says of sizes, held against the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simam_deploy.errors import InputError
from simam_deploy.models.detectors.identity import DetectorIdentity
from simam_deploy.source.stated.detector.part import worded
from simam_deploy.source.stated.detector.reading import StatedDetector

SHOWN: Mapping[str, Callable[[DetectorIdentity], int | None]] = {
    "depth": lambda found: _depth(found),
    "fpn_width": lambda found: found.fpn_width,
    "rpn_width": lambda found: found.rpn_width,
    "roi_size": lambda found: found.roi_size,
    "fc_width": lambda found: found.fc_width,
    "fc_layers": lambda found: found.fc_layers,
    "classes": lambda found: found.classes,
    "class_agnostic": lambda found: found.class_agnostic if found.classes > 1 else None,
    "masks": lambda found: found.mask is not None,
    "mask_width": lambda found: found.mask.width if found.mask else None,
    "mask_layers": lambda found: found.mask.layers if found.mask else None,
    "mask_agnostic": lambda found: _mask_agnostic(found),
}
"""What the weights show, by the name of what is said; None where they do not show it."""


def check(identity: DetectorIdentity, stated: StatedDetector) -> None:
    """See to it that a configuration speaks of the detector whose weights these are.

    Raises:
        InputError: It does not, or the anchors that the weights show are said nowhere.
    """
    for name, claim in stated.claims.items():
        found = SHOWN[name](identity)
        if found is not None and claim.value != found:
            raise InputError(
                f"{name} is {worded(claim.value)}, {claim.where}: by the weights it is {found}"
            )
    _check_anchors(identity, stated)


def _check_anchors(identity: DetectorIdentity, stated: StatedDetector) -> None:
    settings = stated.settings
    if settings.anchors == identity.anchors:
        return
    places = [stated.places[name] for name in ("scales", "ratios") if name in stated.places]
    counts = f"{len(settings.scales)} scales and {len(settings.ratios)} ratios of anchors"
    said = f"{counts}, {places[0]}" if places else f"{counts}, as published and not said otherwise"
    raise InputError(f"{said}: by the weights a cell has {identity.anchors} anchors")


def _depth(identity: DetectorIdentity) -> int:
    """Count the layers, as the names of ResNets do: with the stem and the classifier."""
    network = identity.backbone.network
    return sum(network.blocks) * (3 if network.bottleneck else 2) + 2


def _mask_agnostic(identity: DetectorIdentity) -> bool | None:
    return identity.mask.planes == 1 if identity.mask and identity.classes > 1 else None
