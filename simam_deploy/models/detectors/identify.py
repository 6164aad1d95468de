"""Which detector a checkpoint is, from its keys and shapes alone. Nothing here imports torch."""

from __future__ import annotations

import math

from simam_deploy.core.specs import Shapes
from simam_deploy.errors import NetworkError
from simam_deploy.models.attention.kinds import AttentionName
from simam_deploy.models.detectors.foreign import CLS, refuse_foreign
from simam_deploy.models.detectors.identity import DetectorIdentity, MaskSizes
from simam_deploy.models.fit import describe_differences
from simam_deploy.models.identify import BACKBONE_PREFIX, Identity, identify
from simam_deploy.models.sizes import LARGEST_SIZE

_PARTS = ("rpn_head.", "roi_head.", "bbox_head.", "mask_head.", "roi_heads.", "proposal_generator.")
"""What stands beside a backbone in a detector, mmdetection's or another's."""
_BOX, _MASK = "roi_head.bbox_head.", "roi_head.mask_head."
_MOST_LAYERS = 16
"""Of one head: a file of a million is damaged."""


def looks_like_detector(shapes: Shapes) -> bool:
    """Tell whether a checkpoint holds more than a backbone: the heads of a detector, any one's."""
    return any(key.startswith(_PARTS) for key in shapes)


def identify_detector(
    shapes: Shapes, arch: str | None = None, attention: AttentionName | None = None
) -> DetectorIdentity:
    """Tell which detector a checkpoint holds.

    Args:
        shapes: state_dict key -> shape, wrappers and `module.` prefixes removed.
        arch: The backbone's name in `NETWORKS`, as `identify` takes it.
        attention: What the backbone has, as `identify` takes it.

    Raises:
        NetworkError: It is another detector, its backbone is none of the zoo, or its keys and
            shapes do not fit exactly.
        UsageError: `arch` is unknown, or the backbone or its attention is another.
    """
    from simam_deploy.models.detectors.create import expected_shapes  # torch: late

    refuse_foreign(shapes)
    trunk = {key: tuple(shape) for key, shape in shapes.items() if _of_backbone(key)}
    rest = {key: tuple(shape) for key, shape in shapes.items() if not _of_backbone(key)}
    identity = _read(rest, identify(trunk, arch, attention))
    rows = expected_shapes(identity)
    wanted = {key: row for key, row in rows.items() if not _of_backbone(key)}
    if rest != wanted:
        raise NetworkError(
            f"the weights beside the backbone are nearest to a {identity.title} of "
            f"{identity.classes} classes, where {describe_differences(wanted, rest)}"
        )
    return identity


def _of_backbone(key: str) -> bool:
    return key.startswith(BACKBONE_PREFIX)


def _read(shapes: Shapes, backbone: Identity) -> DetectorIdentity:
    """Read the sizes off a few tensors; the published ones where these are missing or damaged."""
    fpn_width = _size(shapes, "neck.lateral_convs.0.conv.weight", 0, 256)
    classes = max(_size(shapes, f"{_BOX}fc_cls.weight", 0, 81) - 1, 1)
    return DetectorIdentity(
        backbone=backbone,
        classes=classes,
        class_agnostic=classes > 1 and shapes.get(f"{_BOX}fc_reg.weight", ())[:1] == (4,),
        anchors=_size(shapes, CLS, 0, 3),
        fpn_width=fpn_width,
        rpn_width=_size(shapes, "rpn_head.rpn_conv.weight", 0, 256),
        roi_size=_roi_size(shapes, fpn_width),
        fc_width=_size(shapes, f"{_BOX}shared_fcs.0.weight", 0, 1024),
        fc_layers=_layers(shapes, f"{_BOX}shared_fcs.{{}}.weight", 2),
        mask=_mask_sizes(shapes, classes),
        heads=tuple(shapes),
    )


def _mask_sizes(shapes: Shapes, classes: int) -> MaskSizes | None:
    if not any(key.startswith(_MASK) for key in shapes):
        return None
    planes = _size(shapes, f"{_MASK}conv_logits.weight", 0, classes)
    return MaskSizes(
        width=_size(shapes, f"{_MASK}convs.0.conv.weight", 0, 256),
        layers=_layers(shapes, f"{_MASK}convs.{{}}.conv.weight", 4),
        planes=1 if planes == 1 else classes,
    )


def _roi_size(shapes: Shapes, fpn_width: int) -> int:
    bins, rest = divmod(_size(shapes, f"{_BOX}shared_fcs.0.weight", 1, 0), fpn_width)
    side = math.isqrt(bins)
    return side if bins and not rest and side * side == bins else 7


def _layers(shapes: Shapes, pattern: str, published: int) -> int:
    """Count the layers from 0 on; where there is none or no end, say the published number."""
    count = next((n for n in range(_MOST_LAYERS) if pattern.format(n) not in shapes), 0)
    return count or published


def _size(shapes: Shapes, key: str, axis: int, published: int) -> int:
    size = (*shapes.get(key, ()), 0, 0)[axis]
    return size if 1 <= size <= LARGEST_SIZE else published
