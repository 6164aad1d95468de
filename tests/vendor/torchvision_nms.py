"""torchvision's compiled operators are made for one torch each; its nms, without them."""

import torch


def lend_nms():
    """Have `torchvision.ops.nms` be ultralytics' own, where the compiled one does not load."""
    try:
        import torchvision
    except RuntimeError:  # operator torchvision::nms does not exist
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", schema)
        import torchvision.ops.boxes

        torchvision.ops.nms = torchvision.ops.boxes.nms = _nms


def _nms(boxes, scores, iou_threshold):
    from ultralytics.utils.nms import TorchNMS

    return TorchNMS.nms(boxes, scores, iou_threshold)
