"""What an answer will come to, where a graph names the sizes of its outputs by those of its inputs.

So it can be refused before it is computed. Where a graph leaves an output's size open, as a
detector's number of boxes, that is known afterwards alone; what a model makes in between never is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.specs import TensorSpec

Size = int | tuple[str, int]
"""A number, or the input and the axis that it is the size of."""
_UNNAMED = "?"


def named_sizes(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> dict[str, tuple[Size, ...]]:
    """Give the sizes of each output all of whose dimensions are fixed or some input's, by name."""
    places = {
        dim: (spec.name, axis)
        for spec in inputs
        for axis, dim in enumerate(spec.shape)
        if isinstance(dim, str) and dim != _UNNAMED
    }
    found = {}
    for spec in outputs:
        sizes = [dim if isinstance(dim, int) else places.get(dim) for dim in spec.shape]
        known = tuple(size for size in sizes if size is not None)
        if len(known) == len(sizes):
            found[spec.name] = known
    return found


def size_of(dims: Sequence[Size], feeds: Feeds) -> int:
    """Count the elements of an output by the inputs.

    Args:
        dims: As `named_sizes` gives them.
        feeds: The inputs.
    """
    return math.prod(d if isinstance(d, int) else feeds[d[0]].shape[d[1]] for d in dims)
