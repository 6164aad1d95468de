"""What a reader should know of the inputs that two models were compared on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.verify.layout import Layout
from simam_deploy.verify.outputs import Recording
from simam_deploy.verify.slices import as_rows, axes_of

_NAMED = 3


def remarks(recording: Recording, layout: Layout) -> Iterator[str]:
    """Say which rows did not count, and which outputs and channels never vary.

    A set has no channels: of a detector that finds 3 of 100, 97 places are empty, and no fault.
    """
    yield from _skipped(recording)
    still = still_outputs(recording)
    yield from (f"output {name} is the same whatever the input, or empty" for name in still)
    for name in next(iter(recording.outputs.values())):
        if name not in still and not layout.is_set(name):
            yield from _still_channels(name, _rows(recording, name))


def still_outputs(recording: Recording) -> tuple[str, ...]:
    """List the outputs that are one number throughout, or empty, in every case."""
    names = next(iter(recording.outputs.values()))
    return tuple(
        name for name in names if _is_still([_numbers(array) for array in _rows(recording, name)])
    )


def _is_still(arrays: list[Array]) -> bool:
    """Tell whether nothing varies in any case; a single number has only other cases to vary in."""
    if all(array.size == 1 for array in arrays):
        return len({array.item() for array in arrays}) < 2
    return not any(np.ptp(array) > 0 for array in arrays)


def _rows(recording: Recording, name: str) -> list[Array]:
    found = (as_rows(given[name], len(c.kinds)) for c, given in recording.outputs.items())
    return [array for array in found if array.size]


def _skipped(recording: Recording) -> Iterator[str]:
    for case in recording.cases:
        rows = recording.skipped[case.name]
        if rows:
            kinds = ", ".join(sorted({case.kinds[row] for row in rows}))
            yield f"not counted: {kinds} of '{case.name}', where the source itself gives NaN"


def _still_channels(name: str, arrays: list[Array]) -> Iterator[str]:
    """Name an output's channels that are one value whatever the input."""
    if arrays[0].ndim < 3 or axes_of(arrays[0])[0] != 1:
        return
    sizes = {array.shape[1] for array in arrays}
    if len(sizes) == 1:
        still = [str(i) for i in range(sizes.pop()) if not _varies(arrays, i)]
        if still:
            more = f" and {len(still) - _NAMED} more" if len(still) > _NAMED else ""
            yield f"output {name}: channel {', '.join(still[:_NAMED])}{more} never varies"


def _varies(arrays: list[Array], channel: int) -> bool:
    values = [_numbers(array[:, channel]) for array in arrays]
    low, high = min(v.min() for v in values), max(v.max() for v in values)
    return bool(high > low)


def _numbers(array: Array) -> Array:
    return np.nan_to_num(array.astype(np.float64))
