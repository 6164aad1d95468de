"""The ranges of dynamic inputs: as given, or sensible ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simam_deploy.core.specs import Profile, ShapeRange, Shapes, TensorSpec, shape_text
from simam_deploy.errors import UsageError

BATCHES = (1, 8, 32)
"""min, opt and max of a free batch."""
FRAMES = (50, 300, 3000)
"""The same of the frames of a speaker network: half a second, three seconds, thirty."""
SIDES = (32, 224, 448)
"""The same of an image's height and width, where nothing tells what the network takes."""


@dataclass(frozen=True)
class Pictures:
    """What is known of the pictures that a network takes.

    Attributes:
        own: Height and width that pictures are made; None where nothing tells.
        step: Of what its sides have to be multiples.
    """

    own: tuple[int, int] | None = None
    step: int = 1


ANY = Pictures()


def default_profile(
    inputs: Sequence[TensorSpec], facts: Mapping[str, Any], pictures: Pictures = ANY
) -> tuple[Profile, ...]:
    """Give one profile for the free dimensions; none for a static graph.

    A picture's free sides reach from the smallest that works to the larger of the network's own,
    either way up, and are tuned for those.

    Args:
        inputs: Of the graph; a free dimension is a string.
        facts: Of the export; "smallest_input" bounds an image's sides from below.
        pictures: That it takes.
    """
    free = [spec for spec in inputs if _is_free(spec)]
    if not free:
        return ()
    smallest = facts.get("smallest_input") or []
    columns = [
        [_sizes(spec, axis, smallest, pictures) for axis in range(len(spec.shape))] for spec in free
    ]
    return (
        tuple(
            ShapeRange(spec.name, *zip(*sizes, strict=True))
            for spec, sizes in zip(free, columns, strict=True)
        ),
    )


def _sizes(
    spec: TensorSpec, axis: int, smallest: Sequence[int], pictures: Pictures
) -> tuple[int, int, int]:
    size = spec.shape[axis]
    if isinstance(size, int):
        return size, size, size
    if axis == 0:
        return BATCHES
    picture = len(spec.shape) == 4
    low, usual, high = SIDES if picture else FRAMES
    if picture and pictures.own is not None and axis > 1:
        usual, high = pictures.own[axis - 2], max(high, *pictures.own)
    known = len(smallest) == len(spec.shape) and isinstance(smallest[axis], int)
    low = max(low, smallest[axis]) if known else low
    step = pictures.step if picture and axis > 1 else 1
    low, usual, high = (-(-size // step) * step for size in (low, max(low, usual), max(low, high)))
    return low, usual, high


def given_profiles(
    inputs: Sequence[TensorSpec],
    low: Sequence[Shapes],
    opt: Sequence[Shapes],
    high: Sequence[Shapes],
    facts: Mapping[str, Any],
    pictures: Pictures = ANY,
) -> tuple[Profile, ...]:
    """Make the i-th profile of the i-th min, opt and max shapes; what is not given is as opt.

    Args:
        inputs: Of the graph.
        low: The least shapes.
        opt: The shapes to tune for.
        high: The largest shapes.
        facts: Of the export; no shape is below its "smallest_input".
        pictures: That the network takes.

    Raises:
        UsageError: They do not fit the inputs or each other, or the network takes no such size.
    """
    if not opt or any(given and len(given) != len(opt) for given in (low, high)):
        raise UsageError(
            "least and largest shapes go with shapes to tune for, one each a profile",
            options=("min_shapes", "opt_shapes", "max_shapes"),
        )
    _check_names(inputs, (*low, *opt, *high))
    profiles = tuple(
        tuple(_range(spec, *shapes) for spec in inputs if _is_free(spec))
        for shapes in zip(low or opt, opt, high or opt, strict=True)
    )
    for each in (each for profile in profiles for each in profile):
        _check_fits(each, facts.get("smallest_input") or [], pictures.step)
    return profiles


def _check_fits(given: ShapeRange, smallest: Sequence[int], step: int) -> None:
    """Refuse what no run could take.

    Raises:
        UsageError: A shape holds a 0, is below the smallest, or of sides between two steps.
    """
    for shape in (given.min, given.opt, given.max):
        text = shape_text(shape)
        if min(shape) < 1:
            raise UsageError(f"shape {text} of {given.name}: a dimension is at least 1")
        known = len(smallest) == len(shape) and all(isinstance(n, int) for n in smallest)
        if known and any(n < least for n, least in zip(shape[1:], smallest[1:], strict=True)):
            least = shape_text((1, *smallest[1:]))
            raise UsageError(
                f"shape {text} of {given.name}: the network takes no less than {least}"
            )
        if len(shape) == 4 and any(side % step for side in shape[2:]):
            raise UsageError(
                f"shape {text} of {given.name}: its sides have to be multiples of {step}"
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
