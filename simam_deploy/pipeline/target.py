"""Which score of a network is explained: that of a class, or of a box."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.labels import match_names
from simam_deploy.core.specs import TensorSpec, shape_text
from simam_deploy.detect.decoding import Factor, find_convention, may_detect
from simam_deploy.errors import InputError, UsageError
from simam_deploy.pipeline.options import ExplainOptions
from simam_deploy.source.samples.placement import Placement

LEAST = 0.05
"""What a detector is less sure of is not counted: Mask R-CNN's own threshold."""
_NEAR = 3
"""Names that are told where one is not known."""


@dataclass(frozen=True)
class Target:
    """A score of a network.

    Attributes:
        factors: Where in the outputs it stands: the elements whose product it is.
        index: Of its class.
        name: Of its class; "" where that has none.
        score: Its value.
        rank: 0 for the highest score: of the classes, or of the detections.
        box: x1 y1 x2 y2 in pixels of the picture; None for a class of the whole picture.
    """

    factors: tuple[Factor, ...]
    index: int
    name: str
    score: float
    rank: int
    box: tuple[float, float, float, float] | None = None

    @property
    def scalar(self) -> str:
        """Where it stands, as `logits[0, 281]`."""
        places = ((name, ", ".join(map(str, (0, *index)))) for name, index in self.factors)
        return " * ".join(f"{name}[{index}]" for name, index in places)

    def of(self, outputs: Mapping[str, Any]) -> Any:
        """Give the score out of outputs, arrays or tensors, by name."""
        name, index = self.factors[0]
        product = outputs[name][(0, *index)]
        for name, index in self.factors[1:]:
            product = product * outputs[name][(0, *index)]
        return product

    def to_json(self) -> dict[str, Any]:
        """Turn it into a JSON-able dictionary."""
        return {
            "scalar": self.scalar,
            "class": self.index,
            "name": self.name,
            "score": self.score,
            "rank": self.rank,
            "box": self.box,
        }


def find_targets(
    outputs: Feeds, asked: ExplainOptions, names: Sequence[str], where: Placement
) -> tuple[Target, tuple[Target, ...]]:
    """Choose the score that is asked for.

    Args:
        outputs: For a batch of one picture.
        asked: A class or a box.
        names: Of the classes, as far as they are known.
        where: Where the picture lies in the input.

    Returns:
        It, and every detection, the surest first; none of a classifier.

    Raises:
        InputError: There is no score: no class scores, nothing detected, or none that is finite.
        UsageError: There is no such class or box.
    """
    specs = [TensorSpec(name, array.dtype.name, array.shape) for name, array in outputs.items()]
    if may_detect(specs):
        if asked.class_ is not None:
            raise UsageError("a detector's boxes have their class: name a box", options=("box",))
        detections = _detections(outputs, names, where)
        return _box(detections, asked.box or 0), detections
    if asked.box is not None:
        raise UsageError("the network gives no boxes: name a class", options=("class_",))
    scores = next((s for s in specs if len(s.shape) == 2 and "float" in s.dtype), None)
    if scores is None:
        shapes = ", ".join(f"{spec.name} {shape_text(spec.shape)}" for spec in specs)
        raise InputError(
            f"the network gives {shapes:.200}: neither scores of classes nor boxes, so there is no "
            "score to explain; attention maps need none",
            options=("methods",),
        )
    return _class(scores.name, outputs[scores.name][0], asked.class_, names), ()


def _class(output: str, row: Array, asked: str | int | None, names: Sequence[str]) -> Target:
    """Choose a class."""
    if not np.isfinite(row).all():
        raise InputError(f"{output} is not finite on this picture: nothing can be explained")
    order = np.argsort(-row, kind="stable").tolist()
    index = order[0] if asked is None else _index(asked, len(row), names)
    name = names[index] if index < len(names) else ""
    return Target(((output, (index,)),), index, name, float(row[index]), order.index(index))


def _index(asked: str | int, count: int, names: Sequence[str]) -> int:
    """Find a class by its name, else by its number.

    Raises:
        UsageError: There is none.
    """
    text = str(asked)
    named = match_names([text], names[:count]) if isinstance(asked, str) else {}
    if text in named:
        return named[text]
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < count:
        return int(text)
    near = ", ".join(difflib.get_close_matches(text, names, _NEAR))
    known = (
        "no names are known, which a file of labels gives"
        if not names
        else f"the nearest names are {near}" if near else "no name is like it"
    )  # fmt: skip
    raise UsageError(
        f"there is no class {text!r:.60}: there are {count}, 0 to {count - 1}; {known}",
        options=("class_",),
    )


def _detections(outputs: Feeds, names: Sequence[str], where: Placement) -> tuple[Target, ...]:
    """List what was detected in the picture."""
    convention = find_convention(outputs, "the network")
    found = next(iter(convention.decode(outputs, LEAST))).placed(where)
    assert found.places is not None
    places, labels = found.places.tolist(), found.labels.tolist()
    rows = zip(places, labels, found.scores, found.boxes, strict=True)
    return tuple(
        Target(
            convention.factors(place, label),
            label,
            names[label] if label < len(names) else "",
            float(score),
            rank,
            tuple(box.tolist()),
        )
        for rank, (place, label, score, box) in enumerate(rows)
    )


def _box(detections: Sequence[Target], number: int) -> Target:
    """Choose a detection.

    Raises:
        InputError: There is none.
        UsageError: There is none of that number.
    """
    if not detections:
        raise InputError(f"nothing is detected in the picture above {LEAST}: take another picture")
    if number >= len(detections):
        raise UsageError(
            f"there is no box {number}: {len(detections)} are detected, 0 to {len(detections) - 1}",
            options=("box",),
        )
    return detections[number]
