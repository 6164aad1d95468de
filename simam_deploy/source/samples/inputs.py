"""Which of a network's inputs samples give: one, or a picture and how much of it is no padding.

A detector that clips its boxes has to know where the picture ends in an input that was filled up.
Its manifest says so (`size_input` of its `preprocessing`), and whoever makes inputs of pictures
gives that one too: height and width of the picture after scaling and before padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import UsageError
from simam_deploy.source.samples.placement import Sides

Sizes = npt.NDArray[np.float32]


class Sample(NamedTuple):
    """A sample as the network takes it.

    Attributes:
        name: For messages.
        array: Without the batch axis.
        label: 0 without labels.
        size: Height and width of what of a picture's array is no padding.
    """

    name: str
    array: npt.NDArray[np.float32]
    label: int
    size: Sides


class Batch(Protocol):
    """Samples of one shape."""

    @property
    def array(self) -> npt.NDArray[np.float32]:
        """The samples, (N, ...)."""
        ...

    @property
    def sizes(self) -> Sizes | None:
        """Height and width of what is no padding, (N, 2), where the network is told it."""
        ...


@dataclass(frozen=True)
class SampleInputs:
    """The inputs that samples give.

    Attributes:
        sample: What samples become.
        size: (N, 2), height and width of a picture before padding; None where none is taken.
    """

    sample: TensorSpec
    size: TensorSpec | None

    @property
    def told(self) -> TensorSpec:
        """Give the input of sizes, which is there."""
        assert self.size is not None
        return self.size

    def feeds(self, batch: Batch) -> dict[str, Array]:
        """Give the arrays of a batch by input, in float32."""
        if self.size is None or batch.sizes is None:
            return {self.sample.name: batch.array}
        return {self.sample.name: batch.array, self.size.name: batch.sizes}


def size_fact(preprocessing: Mapping[str, Any] | None) -> dict[str, str]:
    """Take of `preprocessing` facts what is the network's own: which input is a picture's size.

    Empty where it takes none; what else the facts say, a recipe may say otherwise.
    """
    name = (preprocessing or {}).get("size_input")
    return {"size_input": name} if name else {}


def find_inputs(inputs: Sequence[TensorSpec], sized: bool) -> SampleInputs:
    """Tell which inputs samples give: by their shapes, for a copy may name them anew.

    Args:
        inputs: Of the network.
        sized: Whether it is told the sizes of pictures, as its manifest says.

    Raises:
        UsageError: It takes more than samples give.
    """
    if len(inputs) == 1:
        return SampleInputs(inputs[0], None)
    pictures = [spec for spec in inputs if len(spec.shape) == 4]
    sizes = [spec for spec in inputs if _may_be_sizes(spec)]
    if not sized:
        raise UsageError(
            f"sample data is for models of one input, this one takes {len(inputs)}",
            options=("data",),
        )
    if (len(inputs), len(pictures), len(sizes)) != (2, 1, 1):
        shapes = "; ".join(map(str, inputs))
        raise UsageError(
            "the model is said to be told its pictures' sizes, which takes two inputs, "
            f"(N, C, H, W) and (N, 2); it takes {shapes:.200}"
        )
    return SampleInputs(pictures[0], sizes[0])


def _may_be_sizes(spec: TensorSpec) -> bool:
    """Tell (N, 2), where a free dimension may be 2."""
    return len(spec.shape) == 2 and (spec.shape[1] == 2 or isinstance(spec.shape[1], str))


def feeds_of(inputs: Sequence[TensorSpec], batch: Batch) -> dict[str, Array]:
    """Give the arrays of a batch by input.

    Raises:
        UsageError: As `find_inputs`.
    """
    return find_inputs(inputs, batch.sizes is not None).feeds(batch)
