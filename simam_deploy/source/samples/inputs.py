"""Which of a network's inputs samples give: one, a picture and its size, or every one by its name.

A detector that clips its boxes has to know where the picture ends in an input that was filled up.
Its manifest says so (`size_input` of its `preprocessing`), and whoever makes inputs of pictures
gives that one too: height and width of the picture after scaling and before padding.

All that a network of several inputs takes else is given by arrays of these names. An input that
shares the batch of the first has a row for each sample; any other, a number or a table of anchors,
is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import UsageError
from simam_deploy.source.samples.placement import Sides


class Sample(NamedTuple):
    """A sample as the network takes it.

    Attributes:
        name: For messages.
        array: Without the batch axis.
        label: 0 without labels.
        size: Height and width of what of a picture's array is no padding.
        others: What further inputs are given, by name.
    """

    name: str
    array: Array
    label: int
    size: Sides
    others: Mapping[str, Array] = {}


@dataclass(frozen=True)
class Batch:
    """Samples of one shape in the network's input layout; all finite.

    Attributes:
        array: (N, ...), float32 of pictures and audio, else of the input's type.
        labels: int64 (N,), or None without labels.
        others: (N, ...) by further input; a picture's size is float32 (N, 2).
        whole: By further input, what is the same for every sample.
    """

    array: Array
    labels: npt.NDArray[np.int64] | None
    others: Mapping[str, Array] = field(default_factory=dict)
    whole: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.array)

    def filled(self, rows: int | None) -> Batch:
        """Repeat the last sample until there are `rows`; as it is where there are."""
        missing = (rows or 0) - len(self)
        if missing <= 0:
            return self
        others = {name: _repeated(array, missing) for name, array in self.others.items()}
        return replace(self, array=_repeated(self.array, missing), others=others)


def _repeated(array: Array, times: int) -> Array:
    return np.concatenate([array, np.repeat(array[-1:], times, 0)])


@dataclass(frozen=True)
class SampleInputs:
    """The inputs that samples give.

    Attributes:
        sample: What samples become; of several inputs the first that has a batch.
        size: (N, 2), height and width of a picture before padding; None where none is taken.
        others: Further inputs with a row for each sample.
        whole: Further inputs that are the same for all samples.
    """

    sample: TensorSpec
    size: TensorSpec | None = None
    others: tuple[TensorSpec, ...] = ()
    whole: tuple[TensorSpec, ...] = ()

    @property
    def told(self) -> TensorSpec:
        """Give the input of sizes, which is there."""
        assert self.size is not None
        return self.size

    @property
    def several(self) -> bool:
        """Whether arrays of the inputs' names are wanted."""
        return bool(self.others or self.whole)


def size_fact(preprocessing: Mapping[str, Any] | None) -> dict[str, str]:
    """Take of `preprocessing` facts what is the network's own: which input is a picture's size.

    Empty where it takes none; what else the facts say, a recipe may say otherwise.
    """
    name = (preprocessing or {}).get("size_input")
    return {"size_input": name} if name else {}


def batch_of(inputs: Sequence[TensorSpec]) -> int | None:
    """Give how many samples a model takes at once; None where that is free."""
    first = next((spec.shape[0] for spec in inputs if spec.shape), None)
    return first if isinstance(first, int) else None


def rows_of(inputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """List the inputs that have a row for each sample: whose first size is free or the batch."""
    batch = batch_of(inputs)
    return tuple(
        spec
        for spec in inputs
        if spec.shape and (isinstance(spec.shape[0], str) or spec.shape[0] == batch)
    )


def find_inputs(inputs: Sequence[TensorSpec], sized: bool) -> SampleInputs:
    """Tell which inputs samples give: as pictures do, or of several inputs every one.

    Args:
        inputs: Of the network.
        sized: Whether it is told the sizes of pictures, as its manifest says.

    Raises:
        UsageError: It takes none that has a batch, or is told sizes and takes more.
    """
    if sized or len(inputs) == 1:
        return picture_inputs(inputs, sized)
    rows = rows_of(inputs)
    if not rows:
        raise UsageError(
            f"samples want an input with a batch: the model has {len(inputs)} inputs, none has one",
            options=("data",),
        )
    whole = tuple(spec for spec in inputs if spec not in rows)
    return SampleInputs(rows[0], others=rows[1:], whole=whole)


def picture_inputs(inputs: Sequence[TensorSpec], sized: bool) -> SampleInputs:
    """Tell which inputs pictures give: by their shapes, for a copy may name them anew.

    Args:
        inputs: Of the network.
        sized: Whether it is told the sizes of pictures, as its manifest says.

    Raises:
        UsageError: It takes more than pictures give.
    """
    if len(inputs) == 1:
        return SampleInputs(inputs[0])
    if not sized:
        raise UsageError(
            f"pictures serve one input, this network takes {len(inputs)}", options=("preprocess",)
        )
    pictures = [spec for spec in inputs if len(spec.shape) == 4]
    sizes = [spec for spec in inputs if _may_be_sizes(spec)]
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
    """Give the arrays of a batch by a model's inputs, first the samples' own.

    Args:
        inputs: Of the model. Further ones are called as where the samples were opened, what
            samples become may be called otherwise.
        batch: The samples.

    Raises:
        UsageError: The model takes others than the samples give.
    """
    further = {**batch.others, **batch.whole}
    names = [spec.name for spec in inputs]
    own = [name for name in names if name not in further]
    if len(own) != 1 or len(names) != 1 + len(further):
        beside = "".join(f", and {name}" for name in further)
        raise UsageError(
            f"the samples give one input{beside}; the model takes {', '.join(names) or 'none'}",
            options=("data",),
        )
    return {own[0]: batch.array, **further}
