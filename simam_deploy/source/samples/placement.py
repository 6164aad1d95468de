"""Where a picture comes to lie in an input: scaled, then moved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Sides = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Placement:
    """How a point of a picture becomes one of the input.

    Attributes:
        picture: Its height and width.
        scaled: The same after scaling.
        offset: Rows and columns of the input above and left of it; negative where it was cropped.
    """

    picture: Sides
    scaled: Sides
    offset: Sides

    def to_input(self, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Move boxes (n, 4), x1 y1 x2 y2, from pixels of the picture to those of the input."""
        return boxes * self._scale() + self._offset()

    def to_picture(self, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Move boxes back, and cut off what lies outside of the picture."""
        height, width = self.picture
        moved = (boxes - self._offset()) / self._scale()
        return np.clip(moved, 0, [width, height, width, height])

    def input_in_picture(self, sides: Sides) -> npt.NDArray[np.float64]:
        """Say where an input lies over the picture: x1 y1 x2 y2, beyond its sides if it was padded.

        Args:
            sides: The input's height and width.
        """
        height, width = sides
        whole: npt.NDArray[np.float64] = np.array([0, 0, width, height], np.float64)
        return (whole - self._offset()) / self._scale()

    def _scale(self) -> npt.NDArray[np.float64]:
        y, x = (a / b for a, b in zip(self.scaled, self.picture, strict=True))
        return np.array([x, y, x, y])

    def _offset(self) -> npt.NDArray[np.float64]:
        y, x = self.offset
        return np.array([x, y, x, y], np.float64)


@dataclass(frozen=True)
class Stretched:
    """A picture is scaled to the input, whatever its ratio was.

    Attributes:
        size: Of the input.
    """

    size: Sides

    def made(self, picture: Sides) -> Sides:
        """Give height and width of the input that a picture becomes."""
        return self.size

    def placement(self, picture: Sides) -> Placement:
        """Say where a picture of this height and width comes to lie."""
        return Placement(picture, self.size, (0, 0))


@dataclass(frozen=True)
class Covering:
    """A picture is scaled until it covers the input, and cropped at its centre.

    Attributes:
        size: Of the input.
        enlarged: The picture covers this many times `size`.
    """

    size: Sides
    enlarged: float = 1.0

    def made(self, picture: Sides) -> Sides:
        """Give height and width of the input that a picture becomes."""
        return self.size

    def placement(self, picture: Sides) -> Placement:
        """Say where a picture of this height and width comes to lie."""
        factor = self.enlarged * max(w / n for w, n in zip(self.size, picture, strict=True))
        height, width = (int(n * factor + 1e-6) for n in picture)
        top, left = (round((n - w) / 2) for n, w in zip((height, width), self.size, strict=True))
        return Placement(picture, (height, width), (-top, -left))


@dataclass(frozen=True)
class Letterboxed:
    """A picture is scaled until it fits into a box, and the input filled up around it.

    Sizes are rounded as the detectors' own loaders do it: centred as YOLO's LetterBox, which
    rounds halves to even and puts the odd row below
    (https://docs.ultralytics.com/reference/data/augment); at the corner as mmcv's rescale_size,
    which rounds halves up (https://mmcv.readthedocs.io/en/latest/api/image.html).

    Attributes:
        size: Of the input.
        box: What the picture is fitted into: `size`, or less where that is rounded up.
        centred: Whether it lies in the middle, and not at the top left.
    """

    size: Sides
    box: Sides
    centred: bool = False

    def made(self, picture: Sides) -> Sides:
        """Give height and width of the input that a picture becomes."""
        return self.size

    def placement(self, picture: Sides) -> Placement:
        """Say where a picture of this height and width comes to lie."""
        factor = min(w / n for w, n in zip(self.box, picture, strict=True))
        whole = (round(n * factor) if self.centred else int(n * factor + 0.5) for n in picture)
        height, width = (min(max(1, n), w) for n, w in zip(whole, self.box, strict=True))
        left_over = (w - n for n, w in zip((height, width), self.size, strict=True))
        top, left = (round(n / 2 - 0.1) if self.centred else 0 for n in left_over)
        return Placement(picture, (height, width), (top, left))


@dataclass(frozen=True)
class Padded:
    """A picture is scaled until it fits into a box, and its input is no larger than it must be.

    As detectors are trained and measured: the box lies or stands as the picture does, and each
    picture has an input of its own size, filled up at the right and below.

    Attributes:
        box: What the picture is fitted into: its longer side into the longer one.
        step: What the input's sides are multiples of.
    """

    box: Sides
    step: int

    def made(self, picture: Sides) -> Sides:
        """Give height and width of the input that a picture becomes."""
        height, width = (
            math.ceil(n / self.step) * self.step for n in self.placement(picture).scaled
        )
        return height, width

    def placement(self, picture: Sides) -> Placement:
        """Say where a picture of this height and width comes to lie."""
        short, long = sorted(self.box)
        box = (short, long) if picture[0] <= picture[1] else (long, short)
        return Letterboxed(box, box).placement(picture)


Fitting = Stretched | Covering | Letterboxed | Padded
