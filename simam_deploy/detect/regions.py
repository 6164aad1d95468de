"""Scores of every class at every place of an input, as the classes of a picture's pixels.

A pixel's scores are read at its centre, between the four places nearest to it, as
`torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` does it, and its class is
the one that scores highest. Pixels that were cropped off have none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array
from simam_deploy.source.samples.placement import Placement, Sides

NOWHERE = -1
"""The class of a pixel that the input does not show."""
_BAND = 1 << 20
"""Scores that are computed at once: 8 MB in float64, where 21 classes of 12 million take 2 GB."""
Classes = npt.NDArray[np.int16]


def class_map(scores: Array, placement: Placement, sides: Sides) -> Classes:
    """Tell the class of every pixel of a picture.

    Args:
        scores: (classes, h, w), of any scale, finite.
        placement: Where the picture lies in the input.
        sides: Height and width of the input, which the scores cover.

    Returns:
        int16 (height, width), `NOWHERE` where the picture was cropped.
    """
    height, width = placement.picture
    rows, columns = (_places(placement, sides, scores.shape[1:], axis) for axis in (0, 1))
    classes = np.full((height, width), NOWHERE, np.int16)
    band = max(1, _BAND // max(1, len(scores) * width))
    for first in range(0, height, band):
        part = slice(first, first + band)
        along = _between(scores.astype(np.float64, copy=False), rows[part], 1)
        classes[part] = _between(along, columns, 2).argmax(axis=0)
    classes[(rows < -0.5) | (rows > scores.shape[1] - 0.5)] = NOWHERE
    classes[:, (columns < -0.5) | (columns > scores.shape[2] - 0.5)] = NOWHERE
    return classes


def _places(
    placement: Placement, sides: Sides, cells: tuple[int, ...], axis: int
) -> npt.NDArray[np.float64]:
    """Say where the pixels' centres lie among the cells' centres, along an axis."""
    size, scaled = placement.picture[axis], placement.scaled[axis]
    in_input = (np.arange(size) + 0.5) * scaled / size + placement.offset[axis]
    places: npt.NDArray[np.float64] = in_input * cells[axis] / sides[axis] - 0.5
    return places


def _between(values: Array, places: npt.NDArray[np.float64], axis: int) -> Array:
    """Read values at places of an axis, between the two nearest; at the edges, the edge's own."""
    inside = np.clip(places, 0, values.shape[axis] - 1)
    low = np.floor(inside).astype(np.intp)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    share = (inside - low).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    read: Array = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return read
