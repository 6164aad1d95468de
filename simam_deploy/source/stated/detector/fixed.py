"""What the detectors here do in one way alone, of what a configuration could ask for.

None of it shows in keys or shapes, or what does would be said less clearly there. What the table
does not name is of training, has no bearing on what is detected, or is read elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from simam_deploy.source.stated.detector.part import MOST_NUMBERS, Part, same_numbers

_BN = ("BN", "BN2d", "SyncBN", "MMSyncBN", "NaiveSyncBN")
_CONV = ("Conv2d", "Conv")
_EXTRACTOR = {"type": ("SingleRoIExtractor",), "featmap_strides": ([4, 8, 16, 32],)}
_ROI_LAYER = {"type": ("RoIAlign",), "pool_mode": ("avg",), "aligned": (True,)}
_NMS = {
    "type": ("nms",),
    "class_agnostic": (False,),
    "offset": (0,),
    "max_num": (-1,),
    "score_threshold": (0,),
}
_CODER = {"type": ("DeltaXYWHBBoxCoder",), "clip_border": (True,), "add_ctr_clamp": (False,)}

ONLY: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "": {"type": ("FasterRCNN", "MaskRCNN", "TwoStageDetector")},
    "backbone": {
        "style": ("pytorch",),  # caffe's stride is in the first convolution of a block
        "num_stages": (4,),
        "strides": ([1, 2, 2, 2],),
        "dilations": ([1, 1, 1, 1],),
        "out_indices": ([0, 1, 2, 3],),
    },
    "backbone.norm_cfg": {"type": _BN, "eps": (1e-5,)},
    "neck": {
        "type": ("FPN",),
        "start_level": (0,),
        "end_level": (-1,),
        "add_extra_convs": (False,),
        "norm_cfg": (),
        "act_cfg": (),
    },
    "neck.conv_cfg": {"type": _CONV},
    "neck.upsample_cfg": {"mode": ("nearest",)},
    "rpn_head": {"type": ("RPNHead",), "num_convs": (1,)},
    "rpn_head.anchor_generator": {
        "type": ("AnchorGenerator",),
        "base_sizes": ([4, 8, 16, 32, 64],),
        "centers": (),
        "center_offset": (0,),
        "scale_major": (True,),
    },
    "rpn_head.bbox_coder": _CODER,
    "roi_head": {"type": ("StandardRoIHead", "DynamicRoIHead", "PISARoIHead"), "shared_head": ()},
    "roi_head.bbox_roi_extractor": _EXTRACTOR,
    "roi_head.bbox_roi_extractor.roi_layer": _ROI_LAYER,
    "roi_head.bbox_head": {
        "type": ("Shared2FCBBoxHead", "ConvFCBBoxHead"),
        "with_avg_pool": (False,),
        "norm_cfg": (),
    },
    "roi_head.bbox_head.bbox_coder": _CODER,
    "roi_head.bbox_head.loss_cls": {"use_sigmoid": (False,)},
    "roi_head.bbox_head.cls_predictor_cfg": {"type": ("Linear",)},
    "roi_head.bbox_head.reg_predictor_cfg": {"type": ("Linear",)},
    "roi_head.mask_roi_extractor": _EXTRACTOR,
    "roi_head.mask_roi_extractor.roi_layer": _ROI_LAYER,
    "roi_head.mask_head": {
        "type": ("FCNMaskHead",),
        "conv_kernel_size": (3,),
        "norm_cfg": (),
    },
    "roi_head.mask_head.conv_cfg": {"type": _CONV},
    "roi_head.mask_head.upsample_cfg": {"type": ("deconv",), "scale_factor": (2,)},
    "roi_head.mask_head.predictor_cfg": {"type": _CONV},
}
"""By the path below `model`: the values that will do where something is said; () allows none."""

ONLY_IN_TESTS: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "rpn": {"nms_across_levels": (False,)},
    "rpn.nms": _NMS,
    "rcnn.nms": _NMS,
}
"""The same of what is said of testing."""


def refuse_others(part: Part, table: Mapping[str, Mapping[str, tuple[object, ...]]]) -> None:
    """Hold a part, and those within it, against a table.

    Raises:
        InputError: Something is said that is not in it; the first in the table's order.
    """
    for path, known in table.items():
        inner = part
        for name in filter(None, path.split(".")):
            inner = inner.part(name)
        for name, allowed in known.items():
            if inner.get(name) is not None and not _is_one_of(inner, name, allowed):
                words = " or ".join(_said(value) for value in allowed) or "none"
                raise inner.wrong(name, f"a detector here has {words}")


def refuse_softmax(rpn_head: Part) -> None:
    """See to it that the RPN's scores are sigmoids: where a loss is said, it must say that.

    Raises:
        InputError: They are of a softmax, which mmdetection takes where the loss does not say.
    """
    loss = rpn_head.part("loss_cls")
    if loss.values and loss.get("use_sigmoid") is not True:
        raise loss.wrong("use_sigmoid", "an RPN with a softmax is not known here")


def _is_one_of(part: Part, name: str, allowed: tuple[object, ...]) -> bool:
    value = part.get(name)
    value = value.rpartition(".")[2] if isinstance(value, str) else value
    plain = list(_plain(value))
    return any(plain == list(_plain(one)) for one in allowed)


def _plain(value: object) -> Iterator[object]:
    """Yield what a value is made of, pairs of one number as that; of what is no literal, itself."""
    if isinstance(value, (list, tuple)) and len(value) <= MOST_NUMBERS:
        yield "list"
        for one in value:
            pair = one if isinstance(one, (list, tuple)) and len(one) == 2 else (one, "")
            yield pair[0] if same_numbers(pair[:1], pair[1:]) else _word(one)
    else:
        yield _word(value)


def _word(value: object) -> object:
    literal = isinstance(value, (str, bool, int, float))
    return value if literal else f"a {type(value).__name__}"


def _said(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)
