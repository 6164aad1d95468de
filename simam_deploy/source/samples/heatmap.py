"""A map of a network's layer, laid back over the picture that it was computed of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simam_deploy.source.samples.placement import Placement, Sides

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Heatmap:
    """What a layer makes of a picture.

    Attributes:
        layer: Its name.
        cells: float32 (h, w), as the layer has it: it reaches over the whole input.
        placement: Where the picture lies in the input.
        made: Height and width of the input.
    """

    layer: str
    cells: Floats
    placement: Placement
    made: Sides

    def over_picture(self, size: Sides | None = None) -> Floats:
        """Lay it over the picture, upright and whole: what was scaled, moved or cropped is undone.

        Args:
            size: Height and width at which the picture is shown; by default its own.

        Returns:
            float32 (height, width), between the four nearest cells; NaN where the picture was
            cropped, for the network did not see that.
        """
        sides = size or self.placement.picture
        laid = self.cells
        for axis in (0, 1):
            laid = _read(laid, axis, self._points(axis, sides[axis]))
        return laid

    def _points(self, axis: int, count: int) -> npt.NDArray[np.float64]:
        """Say where pixels lie among the cells, from 0 to 1 along an axis of the input."""
        share = (np.arange(count) + 0.5) / count
        at = share * self.placement.scaled[axis] + self.placement.offset[axis]
        points: npt.NDArray[np.float64] = at / self.made[axis]
        return points


def _read(cells: Floats, axis: int, points: npt.NDArray[np.float64]) -> Floats:
    """Read cells between the two next to each point; NaN where it lies outside of the input."""
    last = cells.shape[axis] - 1
    at = np.clip(points * (last + 1) - 0.5, 0, last)
    below = np.floor(at).astype(np.intp)
    share = np.where((points < 0) | (points > 1), np.nan, at - below).astype(np.float32)
    share = share.reshape([-1 if i == axis else 1 for i in range(cells.ndim)])
    low = np.take(cells, below, axis)
    read: Floats = low + (np.take(cells, np.minimum(below + 1, last), axis) - low) * share
    return read
