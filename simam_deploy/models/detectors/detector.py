"""Faster and Mask R-CNN around a SimAM backbone, their keys named as mmdetection's are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from simam_deploy.models.detectors.box_head import BoxHead
from simam_deploy.models.detectors.fpn import FPN
from simam_deploy.models.detectors.mask_head import MaskHead
from simam_deploy.models.detectors.operators import multilevel_roi_align
from simam_deploy.models.detectors.rpn import RPN
from simam_deploy.models.detectors.settings import DetectorSettings
from simam_deploy.op.detection import STRIDES


class RoIHead(nn.Module):
    """What looks at each proposal; without a mask head it is a Faster R-CNN's.

    Args:
        bbox_head: Classes and boxes.
        mask_head: Masks.
        roi_size: Bins each way of what `bbox_head` sees.
        settings: Of RoIAlign.
    """

    def __init__(
        self,
        bbox_head: BoxHead,
        mask_head: MaskHead | None,
        roi_size: int,
        settings: DetectorSettings,
    ) -> None:
        super().__init__()
        self.bbox_head, self.mask_head = bbox_head, mask_head
        self.roi_size, self.settings = roi_size, settings

    def align(self, rois: Tensor, pyramid: Sequence[Tensor], size: int) -> Tensor:
        """Read RoIs (N, R, 4) from the four finest maps: (N * R, C, size, size)."""
        settings, maps = self.settings, pyramid[: len(STRIDES)]
        return multilevel_roi_align(
            rois, maps, size, settings.sampling_ratio, settings.finest_scale
        )

    def forward(
        self, pyramid: Sequence[Tensor], proposals: Tensor, found: Tensor, image_size: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the detections, and their masks where there is a head for them."""
        features = self.align(proposals, pyramid, self.roi_size)
        detections = self.bbox_head(features, proposals, found, image_size)
        if self.mask_head is None:
            return tuple(detections)
        features = self.align(detections.boxes, pyramid, self.settings.mask_size)
        return (*detections, self.mask_head(features, detections.labels))


class Detector(nn.Module):
    """A two-stage detector.

    Inputs: image (N, 3, H, W) float32, normalised, padded with 0 at the right and bottom so that
    H and W are multiples of 32; image_size (N, 2) float32, height and width without the padding.

    Outputs: num_dets (N,) int64; boxes (N, D, 4), x1 y1 x2 y2 in pixels of the input; scores (N, D)
    by falling score; labels (N, D) int64; and masks (N, D, 28, 28), the probability that each part
    of the box is of the object, in a Mask R-CNN. D is `max_detections`, or proposals times classes
    where that is less. Places that are left over hold 0, and the label -1.

    Args:
        backbone: Gives four maps, at 1/4 to 1/32.
        neck: Makes a pyramid of them.
        rpn_head: Proposes.
        roi_head: Looks at the proposals.
    """

    def __init__(self, backbone: nn.Module, neck: FPN, rpn_head: RPN, roi_head: RoIHead) -> None:
        super().__init__()
        self.backbone, self.neck = backbone, neck
        self.rpn_head, self.roi_head = rpn_head, roi_head

    def forward(self, image: Tensor, image_size: Tensor) -> tuple[Tensor, ...]:
        """Detect."""
        pyramid = self.neck(self.backbone(image))
        proposals, found = self.rpn_head(pyramid, image_size)
        outputs: tuple[Tensor, ...] = self.roi_head(pyramid, proposals, found, image_size)
        return outputs
