"""The steps by which mmdetection and its siblings make an input of a picture when they test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simam_deploy.source.stated.fields import Held, follow, held
from simam_deploy.source.stated.values import flag, number, numbers, side, sides

PLACES = (
    ("test_dataloader", "dataset", "pipeline"),
    ("data", "test", "pipeline"),
    ("test_pipeline",),
)
"""Version 3, version 2, and the name that both begin with."""
_MOST_STEPS = 64
_WHITE = 255
_SHAPING = ("resize", "crop", "pad", "affine", "expand", "rotate", "letter")
"""What in a step's name says that it changes sizes."""


def find_steps(config: Held) -> tuple[list[Held], str]:
    """Find the steps of testing, laid out in their order, and the path to them."""
    for names in PLACES:
        steps = list(_laid_out(follow(config.values, *names), 0))
        if steps:
            return steps, f"{config.path}{'.'.join(names)}"
    return [], ""


def kind_of(step: Held) -> str:
    """Give a step's type without its scope, as "Resize" of "mmdet.Resize"."""
    kind = step.get("type")
    return kind.rpartition(".")[2] if isinstance(kind, str) else ""


def read_fit(steps: list[Held], divisor: object) -> dict[str, Any] | None:
    """Read how a picture is brought to size; None where a step does what is not known here.

    Args:
        steps: The steps.
        divisor: What the preprocessor pads sides to a multiple of, None where it does not.
    """
    fit: dict[str, Any] = {}
    for each in steps:
        read = _READERS.get(kind_of(each), _other)(each)
        if read is None:
            return None
        fit |= read
    if "resize" not in fit or fit.pop("box", fit["resize"]) != fit["resize"]:
        return None
    if "crop" in fit and not (isinstance(fit["resize"], int) and fit["crop"] <= fit["resize"]):
        return None
    # Pad behind Normalize fills with what no pixel is: only zeros can be said.
    if any(kind_of(step) == "Normalize" for step in steps) and fit.pop("pad_value", 0) != 0:
        return None
    if fit.get("keep_ratio") and (step := side(divisor)):
        fit.setdefault("pad_divisor", step)
    return fit


def _laid_out(steps: object, depth: int) -> Iterator[Held]:
    """Lay out steps; an augmentation of tests holds others, and the scale of their Resize."""
    if not isinstance(steps, list) or len(steps) > _MOST_STEPS or depth > 1:
        return
    for found in map(held, steps):
        inner = found.get("transforms")
        if not isinstance(inner, list):
            yield found
            continue
        scale: dict[object, object] = {
            key: found.get(key) for key in ("img_scale", "scale") if key in found.values
        }
        for step in _laid_out(inner, depth + 1):
            yield step._replace(values={**scale, **step.values}) if scale else step


def _other(step: Held) -> dict[str, Any] | None:
    """Pass over a step that leaves sizes as they are."""
    return None if any(word in kind_of(step).lower() for word in _SHAPING) else {}


def _resize(step: Held) -> dict[str, Any] | None:
    """Read Resize: of version 2 with `img_scale`, which keeps the ratio unless it says not."""
    if "size" in step.values:
        return _edge_or_box(step.get("size"))
    key = "img_scale" if step.get("img_scale") is not None else "scale"
    pair = _one(step.get(key))
    if pair is None:
        return None
    keep = flag(step.values.get("keep_ratio", key == "img_scale"))
    return {"resize": list(pair), **({"keep_ratio": True} if keep else {"stretch": True})}


def _edge_or_box(value: object) -> dict[str, Any] | None:
    """Read the `size` of classifiers: the shorter side, or (256, -1), or (height, width)."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and value[1] in (-1, None):
        value = value[0]
    if (edge := side(value)) is not None:
        return {"resize": edge}
    box = sides(value)
    return {"resize": [box[1], box[0]], "stretch": True} if box else None


def _one(scale: object) -> tuple[int, int] | None:
    """Read a scale of (width, height), alone in a list too."""
    if isinstance(scale, (list, tuple)) and len(scale) == 1:
        scale = scale[0]
    return sides(scale)


def _resize_edge(step: Held) -> dict[str, Any] | None:
    edge = side(step.get("scale"))
    return {"resize": edge} if edge and step.values.get("edge", "short") == "short" else None


def _crop(step: Held) -> dict[str, Any] | None:
    box = sides(step.get("crop_size"))
    return {"crop": box[0]} if box and box[0] == box[1] else None


def _pad(step: Held) -> dict[str, Any] | None:
    divisor, box, value = side(step.get("size_divisor")), sides(step.get("size")), _value_of(step)
    if value is None or not (divisor or box):
        return None
    return {"pad_value": value, **({"box": list(box)} if box else {"pad_divisor": divisor})}


def _fit_in(step: Held) -> dict[str, Any] | None:
    pair = _one(step.get("scale"))
    return {"resize": list(pair), "keep_ratio": True} if pair else None


def _letter(step: Held) -> dict[str, Any] | None:
    fit, value = _fit_in(step), _value_of(step)
    if fit is None or value is None:
        return None
    return {**fit, "pad": "centre", "pad_value": value}


def _value_of(step: Held) -> float | None:
    """Give what a step pads with: one number for all channels, 0 where it says nothing."""
    value = step.values.get("pad_val", 0)
    value = value.get("img", 0) if isinstance(value, Mapping) else value
    found = set(numbers(value) or ()) if isinstance(value, (list, tuple)) else {number(value)}
    one = found.pop() if len(found) == 1 else None
    return one if one is not None and 0 <= one <= _WHITE else None


_READERS = {
    "Resize": _resize,
    "ResizeEdge": _resize_edge,
    "CenterCrop": _crop,
    "Pad": _pad,
    "YOLOv5KeepRatioResize": _fit_in,
    "LetterResize": _letter,
}
