"""One picture as a network takes it, for whoever runs a network on pictures one by one."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import UsageError
from simam_deploy.source.samples.inputs import SampleInputs, picture_inputs, size_fact
from simam_deploy.source.samples.pictures import Decoded, decode, stored_size
from simam_deploy.source.samples.placement import Placement
from simam_deploy.source.samples.preparation import Preparation, read_preparation

_FLOATS = ("float16", "float32", "float64")
"""Types that a prepared picture goes into; NumPy has no bfloat16."""


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
    sizes: npt.NDArray[np.float32]
    placement: Placement
    turned: bool


@dataclass(frozen=True)
class PictureInputs:
    """The inputs that a picture gives, and how it becomes them.

    Attributes:
        given: Which inputs of the network.
        prepare: Makes the first of them.
    """

    given: SampleInputs
    prepare: Preparation

    def read(self, file: Path | IO[bytes], name: str) -> Picture:
        """Decode a file and prepare it.

        Raises:
            InputError: As `decode`.
        """
        return self.prepared(decode(file, name))

    def memory_of(self, content: bytes, name: str) -> int:
        """Tell by a file's header how many bytes `read` takes at most.

        Raises:
            InputError: As `decode`.
        """
        return self.prepare.memory_of(stored_size(io.BytesIO(content), name))

    def prepared(self, decoded: Decoded) -> Picture:
        """Prepare a picture."""
        sides = decoded.picture.height, decoded.picture.width
        sizes = np.array([self.prepare.extent(sides)], np.float32)
        array = self.prepare(decoded.picture)[None]
        return Picture(array, sizes, self.prepare.placement(sides), decoded.turned)

    def feeds(self, picture: Picture) -> dict[str, Array]:
        """Give the network's inputs, in their types."""
        pairs = ((self.given.sample, picture.array), (self.given.size, picture.sizes))
        return {spec.name: array.astype(spec.dtype) for spec, array in pairs if spec is not None}


def find_picture_inputs(
    inputs: Sequence[TensorSpec], preprocessing: Mapping[str, Any] | None
) -> PictureInputs | None:
    """Tell how a picture becomes a network's inputs.

    Args:
        inputs: Of the network.
        preprocessing: A manifest's facts of that name; None where it has none.

    Returns:
        None where it takes others too, or nothing says how pictures are prepared.

    Raises:
        InputError: The facts are damaged or contradict the input.
    """
    try:
        given = picture_inputs(inputs, bool(size_fact(preprocessing)))
    except UsageError:
        return None
    if given.sample.dtype not in _FLOATS:
        return None
    prepare = read_preparation(preprocessing, given.sample)
    return None if prepare is None else PictureInputs(given, prepare)
