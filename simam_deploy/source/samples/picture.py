"""A single picture as a network takes it, and where in that it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simam_deploy.source.samples.inputs import Sizes
from simam_deploy.source.samples.pictures import Decoded
from simam_deploy.source.samples.placement import Placement, Sides
from simam_deploy.source.samples.preparation import Preparation


@dataclass(frozen=True)
class Picture:
    """A picture as a network takes it: a batch of one.

    Attributes:
        array: float32 (1, C, H, W).
        sizes: float32 (1, 2), height and width of what of it is no padding.
        placement: Where the picture lies in it.
        turned: Whether it was turned upright, as its EXIF says.
    """

    array: npt.NDArray[np.float32]
    sizes: Sizes
    placement: Placement
    turned: bool

    @property
    def made(self) -> Sides:
        """Height and width of the input."""
        return self.array.shape[2], self.array.shape[3]


def prepared(decoded: Decoded, prepare: Preparation) -> Picture:
    """Prepare one decoded picture."""
    picture, turned = decoded
    sides = picture.height, picture.width
    sizes = np.array([prepare.extent(sides)], np.float32)
    return Picture(prepare(picture)[None], sizes, prepare.placement(sides), turned)
