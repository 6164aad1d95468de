"""The keys of a recipe: what each makes of its value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from simam_deploy.core.facts import LARGEST_SIDE

Facts = dict[str, Any]

WHITE = 255
"""Of 8 bits."""
GREY = 114
"""What ultralytics fills letterboxed pictures up with."""
NORMAL = "none"
"""Filled up with zeros after normalising."""
MOST_CHANNELS = 3
"""The most that a picture has."""
_MOST = 1e6
_SIDES = re.compile(r"([0-9]{1,4})(?:x([0-9]{1,4}))?")


def _resize(value: str, facts: Facts) -> Facts:
    """Read a side, or WIDTHxHEIGHT, to which a picture is stretched unless it is letterboxed."""
    match = _SIDES.fullmatch(value)
    sides = [int(side) for side in match.groups() if side] if match else []
    if not sides or not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise ValueError(f"resize is a side or WIDTHxHEIGHT, to {LARGEST_SIDE}, got {value!r:.40}")
    if len(sides) == 1:
        return {"resize": sides[0]}
    return {"resize": sides, **({} if "keep_ratio" in facts else {"stretch": True})}


def _crop(value: str, facts: Facts) -> Facts:
    return {"crop": int(_number("crop", value, 1, LARGEST_SIDE, whole=True))}


def _letterbox(value: str, facts: Facts) -> Facts:
    where = {"center": "centre"}.get(value, value)
    if where not in ("centre", "corner"):
        raise ValueError(
            f"letterbox is centre, or corner for below and right, got {value!r:.40}: the size is "
            "said by resize="
        )
    fill = {"pad_value": GREY} if where == "centre" else {}
    return {**fill, "keep_ratio": True, "pad": where}


def _fill(value: str, facts: Facts) -> Facts:
    if value == NORMAL:
        return {"pad_value": None}
    return {"pad_value": _number("fill", value, 0, WHITE)}


def _divisor(value: str, facts: Facts) -> Facts:
    return {"pad_divisor": int(_number("divisor", value, 1, LARGEST_SIDE, whole=True))}


def _mean(value: str, facts: Facts) -> Facts:
    return {"mean": [_number("mean", each, -_MOST, _MOST) for each in value.split(",")]}


def _std(value: str, facts: Facts) -> Facts:
    return {"std": [_number("std", each, 1 / _MOST, _MOST) for each in value.split(",")]}


def _scale(value: str, facts: Facts) -> Facts:
    return {"scale": _number("scale", value, 1 / _MOST, _MOST)}


def _order(value: str, facts: Facts) -> Facts:
    if value not in ("rgb", "bgr"):
        raise ValueError(f"order is RGB or BGR, got {value!r:.40}")
    return {"color": value.upper()}


READERS: Mapping[str, Callable[[str, Facts], Facts]] = {
    "letterbox": _letterbox,
    "resize": _resize,
    "crop": _crop,
    "fill": _fill,
    "divisor": _divisor,
    "mean": _mean,
    "std": _std,
    "scale": _scale,
    "order": _order,
}
"""By key, in the order in which they are read."""
KEYS = f"a list of {', '.join(f'{key}=' for key in READERS)}"


def _number(key: str, text: str, low: float, high: float, whole: bool = False) -> float:
    """Read a number, or a fraction as 1/255.

    Raises:
        ValueError: It is none, or not from `low` to `high`.
    """
    try:
        above, slash, below = text.partition("/")
        number = float(above) / (float(below) if slash else 1)
    except (ValueError, ZeroDivisionError):
        number = math.nan
    if not low <= number <= high or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{key} is {kind} from {low:g} to {high:g}, got {text!r:.40}")
    return number
