"""Detectors that are none of ours, by their keys. Nothing here imports torch."""

from __future__ import annotations

import re

from simam_deploy.core.specs import Shapes
from simam_deploy.errors import NetworkError
from simam_deploy.models.fit import show

CLS, REG = "rpn_head.rpn_cls.weight", "rpn_head.rpn_reg.weight"
_OTHERS = {
    # Before Cascade, of which it has all keys.
    "a Hybrid Task Cascade": r"roi_head\.semantic_head\.",
    "a Cascade R-CNN": r"roi_head\.(bbox|mask)_head\.\d+\.",
    "a Double-Head R-CNN": r"roi_head\.bbox_head\.(res_block|conv_branch|fc_branch)\.",
    "an R-CNN whose box head has convolutions": r"roi_head\.bbox_head\.(shared|cls|reg)_convs\.",
    "a Mask Scoring R-CNN": r"roi_head\.mask_iou_head\.",
    "a Grid R-CNN": r"roi_head\.grid_head\.",
    "a PointRend": r"roi_head\.(point_head|mask_head\.fcs)\.",
    "an R-CNN with a shared head behind its RoIs": r"roi_head\.shared_head\.",
    "a RetinaNet": r"bbox_head\.retina_(cls|reg)\.",
    "an FCOS": r"bbox_head\.conv_centerness\.",
    "an ATSS": r"bbox_head\.atss_(cls|reg|centerness)\.",
    "a GFL": r"bbox_head\.gfl_(cls|reg)\.",
    "a YOLOX": r"bbox_head\.multi_level_",
    "a detector with a guided-anchoring RPN": r"rpn_head\.(conv_loc|conv_shape|feature_adaption)",
    "a detector with a Cascade RPN": r"rpn_head\.stages\.",
    "a detector with a PAFPN": r"neck\.(downsample|pafpn)_convs\.",
    "a Libra R-CNN": r"neck\.\d+\.",
    "torchvision's R-CNN": r"(rpn\.head|roi_heads\.box_predictor|backbone\.body)\.",
    "a Detectron2 model": r"(proposal_generator\.|backbone\.bottom_up\.)",
}
_PATTERNS = {name: re.compile(pattern) for name, pattern in _OTHERS.items()}
_WANTED = "a Faster R-CNN or Mask R-CNN of mmdetection 2.x or 3.x is wanted"


def refuse_foreign(shapes: Shapes) -> None:
    """Name a detector that is none of ours.

    Raises:
        NetworkError: It is one of a kind that is not supported.
    """
    for name, pattern in _PATTERNS.items():
        found = next((key for key in shapes if pattern.match(key)), None)
        if found is not None:
            raise NetworkError(f"{show(found)} is a tensor of {name}: {_WANTED}")
    reason = _missing_part(shapes) or _softmax_rpn(shapes)
    if reason:
        raise NetworkError(f"{reason}: {_WANTED}")


def _missing_part(shapes: Shapes) -> str:
    neck, rpn, roi, box = (
        any(key.startswith(part) for key in shapes)
        for part in ("neck.", "rpn_head.", "roi_head.", "bbox_head.")
    )
    if rpn and box and not roi:
        return (
            "bbox_head.* stands beside rpn_head.*, without a roi_head: this is a two-stage "
            "detector of mmdetection 1.x, which counts the background as class 0"
        )
    if box and not roi:
        return "bbox_head.* without a roi_head is of another one-stage detector"
    if not roi:
        return "there is no roi_head.*, so this is no detector but an RPN"
    if not rpn:
        return "there is no rpn_head.*, so this is a Fast R-CNN, which is handed its proposals"
    return "" if neck else "there is no neck.*, so this detector has no pyramid"


def _softmax_rpn(shapes: Shapes) -> str:
    logits, deltas = shapes.get(CLS, ())[:1], shapes.get(REG, ())[:1]
    if logits and deltas and 2 * logits[0] == deltas[0]:
        return (
            f"{CLS} has {logits[0]} rows for {deltas[0] // 4} anchors a cell: this RPN ends in a "
            "softmax, not in sigmoids"
        )
    return ""
