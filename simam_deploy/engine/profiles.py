"""The ranges of dynamic inputs: as given, or sensible ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simam_deploy.core.specs import Profile, ShapeRange, Shapes, TensorSpec
from simam_deploy.errors import UsageError

BATCHES = (1, 8, 32)
"""min, opt and max of a free batch."""
FRAMES = (50, 300, 3000)
"""The same of the frames of a speaker network: half a second, three seconds, thirty."""
SIDES = (32, 224, 448)
"""The same of an image's height and width, where the model does not tell its smallest."""


def default_profile(inputs: Sequence[TensorSpec], facts: Mapping[str, Any]) -> tuple[Profile, ...]:
    """Give one profile for the free dimensions; none for a static graph.

    Args:
        inputs: Of the graph; a free dimension is a string.
        facts: Of the export; "smallest_input" bounds an image's sides from below.
    """
    free = [spec for spec in inputs if _is_free(spec)]
    if not free:
        return ()
    smallest = facts.get("smallest_input") or []
    columns = [[_sizes(spec, axis, smallest) for axis in range(len(spec.shape))] for spec in free]
    return (
        tuple(
            ShapeRange(spec.name, *zip(*sizes, strict=True))
            for spec, sizes in zip(free, columns, strict=True)
        ),
    )


def _sizes(spec: TensorSpec, axis: int, smallest: Sequence[int]) -> tuple[int, int, int]:
    size = spec.shape[axis]
    if isinstance(size, int):
        return size, size, size
    if axis == 0:
        return BATCHES
    low, usual, high = SIDES if len(spec.shape) == 4 else FRAMES
    known = len(smallest) == len(spec.shape) and isinstance(smallest[axis], int)
    low = max(low, smallest[axis]) if known else low
    return low, max(low, usual), max(low, high)


def given_profiles(
    inputs: Sequence[TensorSpec],
    low: Sequence[Shapes],
    opt: Sequence[Shapes],
    high: Sequence[Shapes],
) -> tuple[Profile, ...]:
    """Make the i-th profile of the i-th min, opt and max shapes; what is not given is as opt.

    Args:
        inputs: Of the graph.
        low: The least shapes.
        opt: The shapes to tune for.
        high: The largest shapes.

    Raises:
        UsageError: They do not fit the inputs or each other.
    """
    if not opt or any(given and len(given) != len(opt) for given in (low, high)):
        raise UsageError(
            "least and largest shapes go with shapes to tune for, one each a profile",
            options=("min_shapes", "opt_shapes", "max_shapes"),
        )
    _check_names(inputs, (*low, *opt, *high))
    return tuple(
        tuple(_range(spec, *shapes) for spec in inputs if _is_free(spec))
        for shapes in zip(low or opt, opt, high or opt, strict=True)
    )


def _range(spec: TensorSpec, low: Shapes, opt: Shapes, high: Shapes) -> ShapeRange:
    if spec.name not in opt:
        raise UsageError(
            f"input {spec} is dynamic and has no shape to tune for", options=("opt_shapes",)
        )
    best = opt[spec.name]
    found = ShapeRange(spec.name, low.get(spec.name, best), best, high.get(spec.name, best))
    for shape in (found.min, found.opt, found.max):
        fixed = zip(spec.shape, shape, strict=False)
        if len(shape) != len(spec.shape) or any(isinstance(d, int) and d != n for d, n in fixed):
            raise UsageError(f"shape {'x'.join(map(str, shape))} does not fit input {spec}")
    if not found.holds(found.opt):
        raise UsageError(f"the shapes of {spec.name} are not in order: min <= opt <= max is wanted")
    return found


def _check_names(inputs: Sequence[TensorSpec], given: Sequence[Shapes]) -> None:
    names = {spec.name for spec in inputs}
    for name in (name for shapes in given for name in shapes):
        if name not in names:
            raise UsageError(f"there is no input {name!r}, only {', '.join(sorted(names))}")


def _is_free(spec: TensorSpec) -> bool:
    return not all(isinstance(d, int) for d in spec.shape)
