"""Anchors, coders and RoIAlign, and what is said of sizes that the weights show."""

from __future__ import annotations

from collections.abc import Iterator

from simam_deploy.errors import InputError
from simam_deploy.source.stated.detector.part import Part, agreed, same_numbers, worded
from simam_deploy.source.stated.record import Said

Entry = tuple[str, Said | None]
"""The name of a setting or of a size, and what is said of it."""

_LEVELS = (4, 8, 16, 32, 64)
"""Strides of the pyramid's maps, the last one that of the max pooling behind it."""
_MOST_OCTAVES = 16


def read_heads(model: Part) -> Iterator[Entry]:
    """Read the settings of both heads.

    Raises:
        InputError: Of what kind a value must be, or which two contradict each other.
    """
    rpn_head, roi_head = model.part("rpn_head"), model.part("roi_head")
    anchors = rpn_head.part("anchor_generator")
    yield "strides", _strides(model.part("neck"), anchors)
    yield "scales", _scales(anchors)
    yield "ratios", anchors.numbers("ratios")
    yield from _coder("rpn", rpn_head.part("bbox_coder"))
    yield from _coder("box", roi_head.part("bbox_head").part("bbox_coder"))
    layers = [roi_head.part(name).part("roi_layer") for name in _EXTRACTORS]
    samples = [layer.whole(name) for layer in layers for name in ("sampling_ratio", "sample_num")]
    yield "sampling_ratio", agreed(samples)
    yield "finest_scale", agreed([roi_head.part(n).number("finest_scale") for n in _EXTRACTORS])
    mask_head = roi_head.part("mask_head")
    yield "mask_size", agreed([*_bins(layers[1]), mask_head.whole("roi_feat_size")])


def read_sizes(model: Part) -> Iterator[Entry]:
    """Read what is said of sizes that the weights show too; errors as `read_heads`."""
    roi_head = model.part("roi_head")
    box_head, mask_head = roi_head.part("bbox_head"), roi_head.part("mask_head")
    layer = roi_head.part("bbox_roi_extractor").part("roi_layer")
    yield "depth", model.part("backbone").whole("depth")
    yield "fpn_width", model.part("neck").whole("out_channels")
    yield "rpn_width", model.part("rpn_head").whole("feat_channels")
    yield "roi_size", agreed([*_bins(layer), box_head.whole("roi_feat_size")])
    yield "fc_width", box_head.whole("fc_out_channels")
    yield "fc_layers", box_head.whole("num_shared_fcs")
    yield "classes", agreed([box_head.whole("num_classes"), mask_head.whole("num_classes")])
    yield "class_agnostic", box_head.switch("reg_class_agnostic")
    yield "masks", _masks(model)
    yield "mask_width", mask_head.whole("conv_out_channels")
    yield "mask_layers", mask_head.whole("num_convs")
    yield "mask_agnostic", mask_head.switch("class_agnostic")


_EXTRACTORS = ("bbox_roi_extractor", "mask_roi_extractor")


def _bins(layer: Part) -> list[Said | None]:
    """Read the bins each way: `out_size` before mmcv had the layer."""
    return [layer.whole("output_size"), layer.whole("out_size")]


def _coder(head: str, coder: Part) -> Iterator[Entry]:
    """Read what mmdetection's coder is told; it takes means of 0 and factors of 1 by itself."""
    for ours, theirs, own in (("means", "target_means", 0.0), ("stds", "target_stds", 1.0)):
        unsaid = Said((own,) * 4, coder.place("type")) if coder.kind() else None
        yield f"{head}_{ours}", coder.numbers(theirs) or unsaid


def _strides(neck: Part, anchors: Part) -> Said | None:
    """Read the strides, (x, y) pairs in mmdetection 3, which are those of the pyramid's maps."""
    value = anchors.get("strides")
    levels = neck.whole("num_outs")
    if levels and levels.value != len(_LEVELS):
        raise neck.wrong("num_outs", f"a detector here has {len(_LEVELS)}")
    if value is None:
        return None
    if not isinstance(value, list) or tuple(map(_one_of_pair, value)) != _LEVELS:
        raise anchors.wrong("strides", f"a detector here has {worded(list(_LEVELS))}")
    return Said(_LEVELS, anchors.place("strides"))


def _one_of_pair(value: object) -> object:
    """Give a number, or that of a pair of it; None of anything else."""
    pair = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, value)
    return pair[0] if same_numbers(pair[:1], pair[1:]) else None


def _scales(anchors: Part) -> Said | None:
    """Read the scales: given, or by octaves as b * 2^(i/n), i from 0 to n - 1."""
    base, count = anchors.number("octave_base_scale"), anchors.whole("scales_per_octave")
    given = anchors.numbers("scales")
    if base is None and count is None:
        return given
    if given is not None or base is None or count is None:
        raise InputError(
            f"{anchors.place('')} says scales and octave_base_scale, or scales_per_octave without "
            "the other: wanted scales, or both of these"
        )
    if not 1 <= count.value <= _MOST_OCTAVES:
        raise anchors.wrong("scales_per_octave", f"wanted 1 to {_MOST_OCTAVES}")
    octaves = tuple(base.value * 2 ** (i / count.value) for i in range(count.value))
    return Said(octaves, base.where)


def _masks(model: Part) -> Said | None:
    """Tell whether there are masks: by the heads where those are said, else by the type.

    Raises:
        InputError: They are to be read as the boxes are: mmdetection shares the extractor then.
    """
    roi_head, kind = model.part("roi_head"), model.kind()
    if roi_head.part("mask_head").values:
        if roi_head.values.get("mask_roi_extractor", roi_head) is None:
            raise roi_head.wrong("mask_roi_extractor", "a mask head here has one of its own")
        return Said(True, roi_head.place("mask_head"))
    if kind in ("FasterRCNN", "MaskRCNN"):
        return Said(kind == "MaskRCNN", model.place("type"))
    return None
