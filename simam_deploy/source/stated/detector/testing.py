"""What is kept when a detector detects: `test_cfg`, as mmdetection spells it now and once did.

To version 2.10 it stands beside the model, and an RPN's has `nms_thr` and `nms_post`, or `max_num`,
where later ones have `nms=dict(type='nms', iou_threshold=...)` and `max_per_img`.
"""

from __future__ import annotations

from collections.abc import Iterator

from simam_deploy.source.stated.detector.heads import Entry
from simam_deploy.source.stated.detector.part import Part, agreed
from simam_deploy.source.stated.record import Said

_MOST_PROPOSALS = ("max_per_img", "max_num", "nms_post")


def find_testing(config: Part) -> Part:
    """Find it in the model, or beside it: what stands there in version 3 is a loop's."""
    model = config.part("model")
    if model.get("test_cfg") is not None:
        return model.part("test_cfg")
    beside = config.part("test_cfg")
    return (
        beside if {"rpn", "rcnn"} & beside.values.keys() else Part({}, model.part("test_cfg").path)
    )


def read_testing(tests: Part) -> Iterator[Entry]:
    """Read it.

    Raises:
        InputError: Of what kind a value must be, or which two contradict each other.
    """
    rpn, rcnn = tests.part("rpn"), tests.part("rcnn")
    yield "nms_pre", rpn.whole("nms_pre")
    yield "max_proposals", agreed([rpn.whole(name) for name in _MOST_PROPOSALS])
    yield "rpn_iou", agreed([_overlap(rpn.part("nms")), rpn.number("nms_thr")])
    yield "min_size", rpn.number("min_bbox_size")
    yield "score_threshold", rcnn.number("score_thr")
    yield "iou_threshold", _overlap(rcnn.part("nms"))
    yield "max_detections", rcnn.whole("max_per_img")
    yield "mask_threshold", rcnn.number("mask_thr_binary")


def _overlap(nms: Part) -> Said | None:
    """Read the overlap above which boxes are suppressed; `iou_thr` until mmcv took it over."""
    return agreed([nms.number("iou_threshold"), nms.number("iou_thr")])
