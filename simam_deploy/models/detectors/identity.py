"""What a checkpoint's keys and shapes say of a detector. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from simam_deploy.models.identify import BACKBONE_PREFIX, Identity

Kind = Literal["faster_rcnn", "mask_rcnn"]
TITLES: Mapping[Kind, str] = {"faster_rcnn": "Faster R-CNN", "mask_rcnn": "Mask R-CNN"}


@dataclass(frozen=True)
class MaskSizes:
    """The sizes of a mask head.

    Attributes:
        width: Channels.
        layers: Convolutions before the map is made larger.
        planes: Classes, or 1 where all have one mask.
    """

    width: int = 256
    layers: int = 4
    planes: int = 80


@dataclass(frozen=True)
class DetectorIdentity:
    """A checkpoint's detector and its sizes.

    Attributes:
        backbone: Its backbone: network, width and keys, those without `backbone.`.
        classes: Without the background.
        class_agnostic: One box a proposal, not one for each class.
        anchors: A cell.
        fpn_width: Channels of the pyramid.
        rpn_width: Channels of the RPN's head.
        roi_size: Bins each way of what the box head sees.
        fc_width: Of the box head's hidden layers.
        fc_layers: How many of them.
        mask: The mask head; None in a Faster R-CNN.
        heads: The keys beside the backbone's, which are named here as in the file.
    """

    backbone: Identity
    classes: int
    class_agnostic: bool
    anchors: int
    fpn_width: int
    rpn_width: int
    roi_size: int
    fc_width: int
    fc_layers: int
    mask: MaskSizes | None
    heads: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """Which detector it is."""
        return "faster_rcnn" if self.mask is None else "mask_rcnn"

    @property
    def title(self) -> str:
        """Its name for people."""
        return TITLES[self.kind]

    @property
    def renames(self) -> dict[str, str]:
        """Key of the file -> key of the module, for every key taken."""
        names = {key: f"{BACKBONE_PREFIX}{name}" for key, name in self.backbone.renames.items()}
        return names | {key: key for key in self.heads}
