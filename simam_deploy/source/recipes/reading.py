"""Read a recipe: by its name, by its keys, or both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simam_deploy.models.zoo import BACKBONE, CIFAR, IMAGENET
from simam_deploy.source.recipes.keys import GREY, KEYS, MOST_CHANNELS, READERS, WHITE, Facts

_PIXELS: Facts = {"kind": "image", "layout": "NCHW", "color": "RGB", "scale": 1 / WHITE}

RECIPES: Mapping[str, Mapping[str, Any]] = {
    IMAGENET.name: IMAGENET.preprocessing,
    CIFAR.name: CIFAR.preprocessing,
    "yolo": {**_PIXELS, "keep_ratio": True, "pad": "centre", "pad_value": GREY},
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
        channels = shape[1] if isinstance(shape[1], int) else MOST_CHANNELS
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
        raise ValueError(f"no recipe {first!r:.40}: wanted {', '.join(RECIPES)}, or {KEYS}")
    parts = [_read_part(part) for part in rest]
    said = dict(parts)
    if len(said) < len(parts):
        raise ValueError(f"a key is said twice: {text!r:.80}")
    for key in (key for key in READERS if key in said):
        facts |= READERS[key](said[key], facts)
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


def _read_part(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    if key.strip().lower() not in READERS:
        raise ValueError(f"no key {key.strip()!r:.40}: wanted {KEYS}")
    return key.strip().lower(), value.strip().lower()


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
    if any(len(level) not in (1, MOST_CHANNELS) for level in levels):
        raise ValueError("mean and std are one number, or three in the order of the channels")
    white = facts["scale"] * WHITE
    beyond = [number for level in levels for number in level if abs(number) > 1.001 * white]
    if beyond and white < WHITE:
        raise ValueError(
            f"{beyond[0]:g} is beyond pixels of 0 to {white:g}, which scale makes of 0 to 255: "
            "say scale=1 where mean and std are of 0 to 255"
        )
