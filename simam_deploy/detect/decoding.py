"""From a detector's outputs to boxes, by the conventions that exporters follow.

(N, 4 + C, A)        cx cy w h in pixels and C scores a cell, as YOLOv8 writes them
(N, A, 5 + C)        the same with an objectness, rows first, as YOLOv5 does
(N, k, 6)            x1 y1 x2 y2 score class, overlaps removed already
(N, k, 4), (N, k), (N, k)   boxes x1 y1 x2 y2, scores and classes, in any order; or (N, k, 5)
                     with the score last, and classes; perhaps (N,) or (N, 1), how many count,
                     and masks (N, k, m, m), probabilities over each box. Our own detectors give
                     num_dets, boxes, scores, labels (-1 where there is none) and masks
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.specs import TensorSpec
from simam_deploy.detect.overlap import suppress
from simam_deploy.errors import InputError
from simam_deploy.source.samples.placement import Placement

Floats = npt.NDArray[np.float64]
SURE = 0.25
"""Detections above this score are what people look at."""
_SLACK = 1e-3
"""By so much may a score lie outside of 0..1: half rounds."""
_BOXED = (4, 5)
"""Columns of boxes, and of boxes with their score."""
_LARGEST_MASK = 128
"""Cells a side of a mask over a box: usual are 28, and 112 of those that are refined."""


@dataclass(frozen=True)
class Found:
    """What was detected in one picture, the surest first.

    Attributes:
        boxes: float64 (n, 4), x1 y1 x2 y2.
        scores: float64 (n,).
        labels: int64 (n,), counted from 0.
        masks: (n, m, m), probabilities over each box; None where the network gives none.
        places: int64 (n,), the row or cell of the outputs that each was read from; None where
            they come from none.
    """

    boxes: Floats
    scores: Floats
    labels: npt.NDArray[np.int64]
    masks: Array | None = None
    places: npt.NDArray[np.int64] | None = None

    def above(self, least: float) -> Found:
        """Keep what has a higher score."""
        return self.taken(np.flatnonzero(self.scores > least))

    def taken(self, places: npt.NDArray[np.int64]) -> Found:
        """Keep what stands at these places."""
        masks, stood = (None if a is None else a[places] for a in (self.masks, self.places))
        return Found(self.boxes[places], self.scores[places], self.labels[places], masks, stood)

    def placed(self, placement: Placement) -> Found:
        """Move boxes from an input into the picture that it was made of.

        What has no area there, in the padding beside it, is left out.
        """
        boxes = placement.to_picture(self.boxes)
        kept = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        return replace(self, boxes=boxes).taken(kept)


Decode = Callable[[Feeds, float], Iterator[Found]]
"""Takes outputs of a batch and the score to be above; gives what was found, picture by picture."""
Factor = tuple[str, tuple[int, ...]]
"""An output's name, and where in it, the batch left out, a factor of a score stands."""
Factors = Callable[[int, int], tuple[Factor, ...]]
"""Takes a detection's place and label; gives the elements whose product is its score."""


@dataclass(frozen=True)
class Convention:
    """How a detector's outputs are read.

    Attributes:
        decode: Reads them.
        classes: How many there are; None where the outputs do not tell.
        factors: Says where a score stands.
    """

    decode: Decode
    classes: int | None
    factors: Factors


def may_detect(outputs: Sequence[TensorSpec]) -> bool:
    """Tell by their shapes whether outputs are a detector's rather than a classifier's."""
    shapes = [spec.shape for spec in outputs]
    ranks = [len(shape) for shape in shapes]
    boxes = any(len(s) == 3 and (isinstance(s[2], str) or s[2] in _BOXED) for s in shapes)
    return ranks[:1] == [3] or (boxes and ranks.count(2) >= 2)


def may_mask(outputs: Sequence[TensorSpec]) -> bool:
    """Tell by their shapes whether a detector's outputs have a mask for every box."""
    rows = {spec.shape[1] for spec in outputs if len(spec.shape) == 3 and spec.shape[2] in _BOXED}
    maps = [spec.shape for spec in outputs if len(spec.shape) == 4]
    return any(shape[1] in rows and shape[2] == shape[3] for shape in maps)


def find_decoder(outputs: Feeds, name: str) -> tuple[Decode, int | None]:
    """Choose by the shapes of a reference's outputs, and what its scores and boxes may be.

    Args:
        outputs: Of one batch.
        name: The model's, for messages.

    Returns:
        The decoder, and how many classes there are; None where the outputs do not tell.

    Raises:
        InputError: No convention fits.
    """
    found = find_convention(outputs, name)
    return found.decode, found.classes


def find_convention(outputs: Feeds, name: str) -> Convention:
    """Choose as `find_decoder` does; arguments and errors are the same."""
    parts = _parts(outputs)
    if parts is not None:
        return _apart(parts)
    first, array = next(iter(outputs.items()))
    if array.ndim == 3 and min(array.shape) > 0:
        values = array.astype(np.float64)
        if array.shape[2] == 6 and _are_rows(values):
            return Convention(
                lambda out, least: map(_row_reader(least), out[first]),
                None,
                lambda place, label: ((first, (place, 4)),),
            )
        if 5 <= array.shape[1] < array.shape[2] and _are_scores(values[:, 4:]):
            return _in_cells(first, array.shape[1] - 4, objectness=False)
        if 6 <= array.shape[2] < array.shape[1] and _are_scores(values[..., 4:]):
            return _in_cells(first, array.shape[2] - 5, objectness=True)
    shapes = ", ".join(f"{key} {value.shape}" for key, value in outputs.items())
    raise InputError(f"{name} gives {shapes:.200}: {UNDERSTOOD}")


def _apart(parts: _Parts) -> Convention:
    column = (4,) if parts.scores == parts.boxes else ()
    return Convention(
        lambda out, least: _decode_parts(out, least, parts),
        None,
        lambda place, label: ((parts.scores, (place, *column)),),
    )


def _in_cells(name: str, classes: int, objectness: bool) -> Convention:
    """Say of columns (4 + C, A) or, with an objectness, of rows (A, 5 + C) how they are read."""
    read = _cell_reader(objectness)

    def factors(place: int, label: int) -> tuple[Factor, ...]:
        both = ((name, (place, 4)), (name, (place, 5 + label)))
        return both if objectness else ((name, (4 + label, place)),)

    return Convention(
        lambda out, least: (read(a if objectness else a.T, least) for a in out[name]),
        classes,
        factors,
    )


UNDERSTOOD = (
    "understood of detectors are (N, 4 + classes, cells), (N, cells, 5 + classes), (N, k, 6), or "
    "boxes (N, k, 4), scores (N, k) and labels (N, k), with scores from 0 to 1"
)


def _are_scores(values: Floats) -> bool:
    return bool(np.all((values >= -_SLACK) & (values <= 1 + _SLACK)))


def _are_rows(values: Floats) -> bool:
    """Tell rows x1 y1 x2 y2 score class from a cell of YOLOv5's with a single class."""
    rows = values.reshape(-1, 6)
    whole = np.all(rows[:, 5] == np.round(rows[:, 5]))
    ordered = np.all(rows[:, :2] <= rows[:, 2:4])
    scores = _are_scores(np.abs(rows[:, 4]))  # -1 in rows that fill an output up
    return bool(whole and ordered and scores)


@dataclass(frozen=True)
class _Parts:
    """The outputs that hold the parts of a detection."""

    boxes: str
    scores: str
    labels: str
    count: str | None
    masks: str | None


def _parts(outputs: Feeds) -> _Parts | None:
    """Find boxes, scores and labels among outputs, if each is there once."""
    boxes = [n for n, a in outputs.items() if a.ndim == 3 and a.shape[2] in _BOXED]
    if len(boxes) != 1:
        return None
    box = outputs[boxes[0]]
    flat = {n: a for n, a in outputs.items() if a.shape == box.shape[:2]}
    labels = [n for n, a in flat.items() if a.dtype.kind in "iu"] or _named(
        flat, ("label", "class")
    )
    scores = [n for n in flat if n not in labels] if box.shape[2] == 4 else [boxes[0]]
    if len(labels) != 1 or len(scores) != 1:
        return None
    taken = {boxes[0], labels[0], scores[0]}
    counts = (n for n, a in outputs.items() if _is_count(a, len(box)) and n not in taken)
    masks = (n for n, a in outputs.items() if _are_masks(a, box.shape[:2]))
    return _Parts(boxes[0], scores[0], labels[0], next(counts, None), next(masks, None))


def _are_masks(array: Array, rows: tuple[int, ...]) -> bool:
    """Tell a mask a box, over the box, from maps of the whole picture."""
    square = array.ndim == 4 and array.shape[:2] == rows and array.shape[2] == array.shape[3]
    return square and array.dtype.kind == "f" and array.shape[2] <= _LARGEST_MASK


def _named(arrays: Mapping[str, Array], words: Sequence[str]) -> list[str]:
    return [name for name in arrays if any(word in name.lower() for word in words)]


def _is_count(array: Array, batch: int) -> bool:
    return array.dtype.kind in "iu" and array.shape in ((batch,), (batch, 1))


def _decode_parts(outputs: Feeds, least: float, parts: _Parts) -> Iterator[Found]:
    boxes, labels = outputs[parts.boxes], outputs[parts.labels]
    scores = boxes[..., 4] if parts.scores == parts.boxes else outputs[parts.scores]
    masks = None if parts.masks is None else outputs[parts.masks]
    for number, box in enumerate(boxes):
        size = len(box) if parts.count is None else _count(outputs[parts.count], number)
        score, label = (each[number][:size].astype(np.float64) for each in (scores, labels))
        mask = None if masks is None else masks[number]
        yield _sorted(box[:size].astype(np.float64), score, label, least, mask)


def _count(counts: Array, number: int) -> int:
    return max(0, int(counts.reshape(-1)[number]))


def _row_reader(least: float) -> Callable[[Array], Found]:
    def read(array: Array) -> Found:
        rows = array.astype(np.float64)
        return _sorted(rows[:, :4], rows[:, 4], rows[:, 5], least)

    return read


def _sorted(
    boxes: Floats, scores: Floats, labels: Floats, least: float, masks: Array | None = None
) -> Found:
    """Keep finite rows with a label, an area and a score above `least`, the surest first.

    What has no area overlaps nothing, itself included: a detector would not agree with itself.
    """
    with np.errstate(invalid="ignore"):
        kept = (scores > least) & (labels > -0.5) & np.isfinite(boxes).all(axis=-1)
        kept &= (boxes[:, 2:4] > boxes[:, :2]).all(axis=-1)
    kept &= np.isfinite(scores) & np.isfinite(labels)
    places = np.flatnonzero(kept)
    places = places[np.argsort(-scores[places], kind="stable")]
    whole = np.where(kept, np.round(labels), -1).astype(np.int64)
    rows = np.arange(len(scores))
    return Found(boxes[:, :4], scores, whole, masks, rows).taken(places)


_MOST = 30_000
"""Candidates of a picture that overlaps are removed from, the surest; as YOLO's own code takes."""


def _cell_reader(objectness: bool) -> Callable[[Array, float], Found]:
    """Read cells (A, 4 + C) or (A, 5 + C): every class above the score is a candidate."""

    def read(array: Array, least: float) -> Found:
        cells = array.astype(np.float64)
        scores = cells[:, 5:] * cells[:, 4:5] if objectness else cells[:, 4:]
        cell, label = np.nonzero(scores > least)
        centre, half = cells[cell, :2], cells[cell, 2:4] / 2
        with np.errstate(invalid="ignore"):  # infinity less infinity, which is left out
            corners = np.concatenate([centre - half, centre + half], axis=1)
        found = _sorted(corners, scores[cell, label], label.astype(np.float64), least)
        assert found.places is not None
        found = replace(found, places=cell[found.places])
        return found.taken(suppress(found.boxes[:_MOST], found.labels[:_MOST]))

    return read
