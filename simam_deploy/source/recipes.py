"""How a picture becomes an input, as people say it: a named recipe, or a list of key=value.

    imagenet
    resize=256,crop=224,mean=0.485,0.456,0.406,std=0.229,0.224,0.225
    resize=640,letterbox=centre
    yolo,resize=416

`read_recipe` makes the manifest's `preprocessing` facts of the text, and `recipe_text` the text of
the facts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simam_deploy.core.facts import FACTS, LARGEST_SIDE
from simam_deploy.models.zoo import BACKBONE, CIFAR, IMAGENET

Facts = dict[str, Any]

_WHITE = 255
_PIXELS: Facts = {"kind": "image", "layout": "NCHW", "color": "RGB", "scale": 1 / _WHITE}
_GREY = 114
"""What ultralytics fills letterboxed pictures up with."""

RECIPES: Mapping[str, Mapping[str, Any]] = {
    IMAGENET.name: IMAGENET.preprocessing,
    CIFAR.name: CIFAR.preprocessing,
    "yolo": {**_PIXELS, "keep_ratio": True, "pad": "centre", "pad_value": _GREY},
    "mmdet": BACKBONE.preprocessing,
    "mmdet-caffe": {
        **BACKBONE.preprocessing,
        "color": "BGR",
        "scale": 1,
        "mean": [103.53, 116.28, 123.675],
        "std": [1, 1, 1],
    },
}
"""By name. YOLO's sizes are its input's; mmdetection's caffe networks see pixels of 0 to 255."""


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read.

    Attributes:
        facts: `preprocessing` facts, perhaps without `resize`, `mean` and `std`; a single mean or
            std stands alone in its list, whatever the input's channels.
        said: The keys that were given.
    """

    facts: Facts
    said: frozenset[str]

    def complete(self, shape: Sequence[int | str]) -> Facts:
        """Fill up what it leaves open by the input's shape, (N, C, H, W).

        Raises:
            ValueError: Its height and width are free, and the recipe names none.
        """
        channels = shape[1] if isinstance(shape[1], int) else _MOST_CHANNELS
        full = {"resize": self._usual_size(shape), "mean": [0.0], "std": [1.0], **self.facts}
        for key in ("mean", "std"):
            full[key] = list(full[key]) * (channels if len(full[key]) == 1 else 1)
        return full

    def _usual_size(self, shape: Sequence[int | str]) -> int | list[int]:
        """Give what pictures are scaled to where the recipe does not say it: the input's size."""
        named: int | list[int] | None = self.facts.get("resize", self.facts.get("crop"))
        height, width = shape[2:]
        if isinstance(height, int) and isinstance(width, int):
            sides = [width, height] if self.facts.get("keep_ratio") else min(height, width)
            return sides if named is None else named
        if named is None:
            raise ValueError("the input's height and width are free: say which by resize=")
        return named


def read_recipe(text: str) -> Recipe:
    """Read a recipe.

    Raises:
        ValueError: It is none, or contradicts itself; the text says what is wrong.
    """
    first, *rest = _NEXT.split(text.strip())
    if "=" in first:
        facts, rest = dict(_PIXELS), [first, *rest]
    elif first.lower() in RECIPES:
        facts = dict(RECIPES[first.lower()])
    else:
        raise ValueError(f"no recipe {first!r:.40}: wanted {', '.join(RECIPES)}, or {_KEYS}")
    parts = [_read_part(part) for part in rest]
    said = dict(parts)
    if len(said) < len(parts):
        raise ValueError(f"a key is said twice: {text!r:.80}")
    for key in (key for key in _READERS if key in said):
        facts |= _READERS[key](said[key], facts)
    facts = {key: fact for key, fact in facts.items() if fact is not None}
    _check(facts)
    return Recipe(facts, frozenset(said))


def recipe_form(text: str) -> str:
    """Check a recipe, which stays as it was written.

    Raises:
        ValueError: As `read_recipe`.
    """
    read_recipe(text)
    return text


_NEXT = re.compile(r",(?=[^,=]*=)")
_SIDES = re.compile(r"([0-9]{1,4})(?:x([0-9]{1,4}))?")


def _read_part(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    if key.strip().lower() not in _READERS:
        raise ValueError(f"no key {key.strip()!r:.40}: wanted {_KEYS}")
    return key.strip().lower(), value.strip().lower()


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
    fill = {"pad_value": _GREY} if where == "centre" else {}
    return {**fill, "keep_ratio": True, "pad": where}


def _fill(value: str, facts: Facts) -> Facts:
    if value == _NORMAL:
        return {"pad_value": None}
    return {"pad_value": _number("fill", value, 0, _WHITE)}


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


_MOST, _MOST_CHANNELS = 1e6, 3
_NORMAL = "none"
"""Filled up with zeros after normalising."""
_READERS: Mapping[str, Callable[[str, Facts], Facts]] = {
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
_KEYS = f"a list of {', '.join(f'{key}=' for key in _READERS)}"


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


def _check(facts: Facts) -> None:
    """Refuse what contradicts itself.

    Raises:
        ValueError: It does.
    """
    resize, crop = facts.get("resize"), facts.get("crop")
    if crop and (facts.get("keep_ratio") or facts.get("stretch")):
        raise ValueError("crop goes with a resize to one side, not with letterbox or WIDTHxHEIGHT")
    if crop and isinstance(resize, int) and crop > resize:
        raise ValueError(f"a picture of {resize} has no {crop} to crop")
    if not facts.get("keep_ratio") and facts.keys() & {"pad_value", "pad_divisor"}:
        raise ValueError("fill and divisor say how a letterbox is filled up: add letterbox=")
    _check_levels(facts)


def _check_levels(facts: Facts) -> None:
    """Refuse means and deviations that no pixel can come near.

    Raises:
        ValueError: They are too many, or beyond a white pixel.
    """
    levels = [facts[key] for key in ("mean", "std") if key in facts]
    if any(len(level) not in (1, _MOST_CHANNELS) for level in levels):
        raise ValueError("mean and std are one number, or three in the order of the channels")
    white = facts["scale"] * _WHITE
    beyond = [number for level in levels for number in level if abs(number) > 1.001 * white]
    if beyond and white < _WHITE:
        raise ValueError(
            f"{beyond[0]:g} is beyond pixels of 0 to {white:g}, which scale makes of 0 to 255: "
            "say scale=1 where mean and std are of 0 to 255"
        )


def recipe_text(facts: Mapping[str, Any]) -> str | None:
    """Write `preprocessing` facts as a recipe; None where they are not a picture's, or damaged."""
    few = all(len(facts.get(key) or ()) <= _MOST_CHANNELS for key in ("mean", "std"))
    if facts.get("kind") != "image" or not few or not FACTS["preprocessing"].holds(facts):
        return None
    return ",".join(_parts(facts))


def _parts(facts: Mapping[str, Any]) -> Iterator[str]:
    resize = facts.get("resize")
    if isinstance(resize, int) and facts.get("stretch"):
        resize = [resize, resize]
    if resize is not None:
        yield f"resize={resize}" if isinstance(resize, int) else "resize={}x{}".format(*resize)
    if "crop" in facts:
        yield f"crop={facts['crop']}"
    if facts.get("keep_ratio"):
        yield f"letterbox={facts.get('pad', 'corner')}"
        yield f"fill={_number_text(facts['pad_value']) if 'pad_value' in facts else _NORMAL}"
        if "pad_divisor" in facts:
            yield f"divisor={facts['pad_divisor']}"
    for key in ("mean", "std"):
        if key in facts:
            yield f"{key}={','.join(map(_number_text, facts[key]))}"
    scale = facts.get("scale", 1)
    yield "scale=1/255" if scale == 1 / _WHITE else f"scale={_number_text(scale)}"
    yield f"order={facts.get('color', 'RGB')}"


def _number_text(number: float) -> str:
    """Write a number so that it is read as the same."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)
