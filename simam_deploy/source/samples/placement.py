"""Where a picture comes to lie in an input: scaled, then moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Placement:
    """How a point of a picture becomes one of the input.

    Attributes:
        picture: Its height and width.
        scaled: The same after scaling.
        offset: Rows and columns of the input above and left of it; negative where it was cropped.
    """

    picture: tuple[int, int]
    scaled: tuple[int, int]
    offset: tuple[int, int]

    def to_input(self, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Move boxes (n, 4), x1 y1 x2 y2, from pixels of the picture to those of the input."""
        return boxes * self._scale() + self._offset()

    def to_picture(self, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Move boxes back, and cut off what lies outside of the picture."""
        height, width = self.picture
        moved = (boxes - self._offset()) / self._scale()
        return np.clip(moved, 0, [width, height, width, height])

    def _scale(self) -> npt.NDArray[np.float64]:
        y, x = (a / b for a, b in zip(self.scaled, self.picture, strict=True))
        return np.array([x, y, x, y])

    def _offset(self) -> npt.NDArray[np.float64]:
        y, x = self.offset
        return np.array([x, y, x, y], np.float64)
