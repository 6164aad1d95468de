"""What a file says of its network, and where it says it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Said:
    """One thing that was said.

    Attributes:
        value: What.
        where: As "file (args.attention_param)" or "folder name (imagenet-simam-param0.1)".
    """

    value: Any
    where: str


@dataclass(frozen=True)
class Stated:
    """All that was found; each thing as often as it was said differently.

    Attributes:
        lambdas: SimAM's lambda; a text where what stands there is no finite number >= 0.
        classes: Tuples of names, in the order of the scores.
        levels: What becomes of a pixel: the manifest's `color`, `scale`, `mean` and `std`.
        fits: How a picture is brought to size: its `resize`, `crop`, `keep_ratio`, `pad` and so on.
        sizes: The input's (height, width) in pixels.
        detectors: A detector's settings as `detector.reading` has them; a text where they are none
            that can be used, which says why.
        unread: In words, texts that could not be read.
    """

    lambdas: tuple[Said, ...] = ()
    classes: tuple[Said, ...] = ()
    levels: tuple[Said, ...] = ()
    fits: tuple[Said, ...] = ()
    sizes: tuple[Said, ...] = ()
    detectors: tuple[Said, ...] = ()
    unread: tuple[Said, ...] = ()

    def __add__(self, other: Stated) -> Stated:
        """Add what was found elsewhere; what was said before is not said again."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return replace(self, **{name: _distinct((*a, *b)) for name, (a, b) in pairs.items()})

    def one(self, what: str) -> Said | None:
        """Give the one thing said in a field, None where nothing is or places disagree."""
        said = getattr(self, what)
        return said[0] if len(said) == 1 else None

    def disagreements(self) -> Iterator[str]:
        """Word where a file says two things, of which neither is taken; not of lambda."""
        for what, name in _TITLES.items():
            said = getattr(self, what)
            if len(said) > 1:
                yield (
                    f"two {name}: {shown(said[0].value)}, {said[0].where}, and "
                    f"{shown(said[1].value)}, {said[1].where}: neither is taken"
                )


_TITLES: Mapping[str, str] = {
    "classes": "lists of class names",
    "levels": "normalisations of pictures",
    "fits": "ways to bring pictures to size",
    "sizes": "input sizes",
}


def shown(value: Any) -> str:
    """Word a value in some 60 characters."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{key} {shown(item)}" for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        text = ", ".join(map(shown, value[:3])) + (f", ... ({len(value)})" if value[3:] else "")
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 90 else f"{text[:86]} ..."


def _distinct(said: tuple[Said, ...]) -> tuple[Said, ...]:
    """Keep the first of those that say the same."""
    kept: list[Said] = []
    for one in said:
        if all(not _same(one.value, other.value) for other in kept):
            kept.append(one)
    return tuple(kept)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6)  # a tensor of float32 rounds 0.1 by 1.5e-8
    return bool(a == b)
