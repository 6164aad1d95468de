"""The two operators of a detector's graph: nodes under `torch.onnx.export`, torch elsewhere.

Their contract stands in `simam_deploy.op.detection`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simam_deploy.models.detectors.align import align
from simam_deploy.models.detectors.suppress import suppress
from simam_deploy.op import contract, detection


def multilevel_roi_align(
    rois: Tensor,
    maps: Sequence[Tensor],
    output_size: int,
    sampling_ratio: int,
    finest_scale: float,
) -> Tensor:
    """Read each RoI from the map of its level, in S x S bins.

    Args:
        rois: (N, R, 4), x1 y1 x2 y2 in pixels of the padded image.
        maps: Four of shape (N, C, H, W), one floating dtype, at the strides 4, 8, 16 and 32.
        output_size: S.
        sampling_ratio: Samples each way of a bin; 0: as many as the bin has pixels of the map.
        finest_scale: RoIs below twice this side, in pixels, are of the first map.

    Returns:
        (N * R, C, S, S) of the maps' dtype; 0 where a RoI has no area.
    """
    shape = (rois.shape[0] * rois.shape[1], maps[0].shape[1], output_size, output_size)
    if torch.onnx.is_in_onnx_export():
        values = (output_size, sampling_ratio, float(finest_scale))
        return _node(detection.ALIGN_OP_TYPE, (rois, *maps), values, maps[0].dtype, shape)
    if rois.is_meta:
        return maps[0].new_empty(shape)
    return align(rois, maps, output_size, sampling_ratio, finest_scale)


def batched_nms(
    boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float, num_groups: int
) -> Tensor:
    """Suppress, greedily, the boxes that overlap one of their group with a higher score.

    Args:
        boxes: (B, M, 4), x1 y1 x2 y2.
        scores: (B, M); `NOTHING` where there is no box.
        groups: (B, M) int64 from 0 to num_groups - 1; those of one group alone suppress.
        iou_threshold: A box overlaps from above this on.
        num_groups: How many groups there are.

    Returns:
        (B, M): the score of a box that is kept, `NOTHING` elsewhere.
    """
    if torch.onnx.is_in_onnx_export():
        values = (float(iou_threshold), num_groups)
        inputs = (boxes, scores, groups)
        return _node(detection.NMS_OP_TYPE, inputs, values, scores.dtype, scores.shape)
    if boxes.is_meta:
        return torch.empty_like(scores)
    return suppress(boxes, scores, groups, iou_threshold)


def _node(
    op_type: str,
    inputs: Sequence[Tensor],
    values: Sequence[int | float],
    dtype: torch.dtype,
    shape: Sequence[int | torch.SymInt],
) -> Tensor:
    return torch.onnx.ops.symbolic(
        f"{contract.DOMAIN}::{op_type}",
        inputs,
        dict(zip(detection.ATTRIBUTES[op_type], values, strict=True)),
        dtype=dtype,
        shape=shape,
        version=contract.OP_VERSION,
    )
