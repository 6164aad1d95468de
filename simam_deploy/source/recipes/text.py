"""Write `preprocessing` facts as the recipe that makes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simam_deploy.core.facts import FACTS
from simam_deploy.source.recipes.keys import MOST_CHANNELS, NORMAL, WHITE


def recipe_text(facts: Mapping[str, Any]) -> str | None:
    """Write `preprocessing` facts as a recipe; None where they are not a picture's, or damaged."""
    few = all(len(facts.get(key) or ()) <= MOST_CHANNELS for key in ("mean", "std"))
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
        yield f"fill={_number_text(facts['pad_value']) if 'pad_value' in facts else NORMAL}"
        if "pad_divisor" in facts:
            yield f"divisor={facts['pad_divisor']}"
    for key in ("mean", "std"):
        if key in facts:
            yield f"{key}={','.join(map(_number_text, facts[key]))}"
    scale = facts.get("scale", 1)
    yield "scale=1/255" if scale == 1 / WHITE else f"scale={_number_text(scale)}"
    yield f"order={facts.get('color', 'RGB')}"


def _number_text(number: float) -> str:
    """Write a number so that it is read as the same."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)
