"""The contract of a detector's two operators: their names, attributes and references.

Version 1 of the domain `simam` holds, beside SimAM (`simam_deploy.op.contract`):

    MultilevelRoIAlign  rois, x0, x1, x2, x3 -> y         output_size, sampling_ratio, finest_scale
    BatchedNMS          boxes, scores, groups -> kept     iou_threshold, num_groups

MultilevelRoIAlign: rois (N, R, 4) float32 are x1 y1 x2 y2 in pixels of the padded image; x0 to x3
(N, C, H, W), of one floating dtype, are a pyramid's maps at the strides 4, 8, 16 and 32; y
(N*R, C, S, S) has their dtype. Coordinates and weights are float32. A RoI of w by h is read from

    level = clamp(floor(log2(sqrt(w * h) / finest_scale + 1e-6)), 0, 3)

(Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, equation (1)), by RoIAlign
(He et al., "Mask R-CNN", ICCV 2017, section 3) as mmcv and Detectron2 compute it with
`aligned=True`: at x / stride - 0.5; S x S bins, each the mean of ceil(bin height) x ceil(bin width)
samples, or of sampling_ratio each way where that is not 0; a sample outside of [-1, H] x [-1, W] is
0, any other is moved into [0, H - 1] x [0, W - 1] and interpolated. A RoI without an area gives 0.

BatchedNMS: of boxes (B, M, 4) float32, x1 y1 x2 y2, with scores (B, M) float32 and groups (B, M)
int64 from 0 to num_groups - 1, those of a batch entry are taken in falling order of score, of equal
ones the first; one that overlaps a box of its group which was kept, by more than iou_threshold, is
not kept. kept (B, M) is its score where a box is kept and `NOTHING` elsewhere; what has that score
is no box. Boxes without an area overlap nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

ALIGN_OP_TYPE = "MultilevelRoIAlign"
NMS_OP_TYPE = "BatchedNMS"

INPUTS: Mapping[str, tuple[str, ...]] = {
    ALIGN_OP_TYPE: ("rois", "x0", "x1", "x2", "x3"),
    NMS_OP_TYPE: ("boxes", "scores", "groups"),
}
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    ALIGN_OP_TYPE: ("output_size", "sampling_ratio", "finest_scale"),
    NMS_OP_TYPE: ("iou_threshold", "num_groups"),
}
"""finest_scale and iou_threshold are of type FLOAT, the others INT; none has a default."""

STRIDES = (4, 8, 16, 32)
"""Of the maps that RoIs are read from."""
NOTHING = -float(np.finfo(np.float32).max)
"""The score of what is no box."""
