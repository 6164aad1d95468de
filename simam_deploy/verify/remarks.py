"""What a reader should know of the inputs that two models were compared on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.verify.outputs import Recording
from simam_deploy.verify.slices import as_rows, axes_of

_NAMED = 3


def remarks(recording: Recording) -> Iterator[str]:
    """Say which rows did not count, and which outputs and channels never vary."""
    yield from _skipped(recording)
    for name in next(iter(recording.outputs.values())):
        arrays = [
            as_rows(outputs[name], len(case.kinds)) for case, outputs in recording.outputs.items()
        ]
        yield from _constant(name, [array for array in arrays if array.size])


def _skipped(recording: Recording) -> Iterator[str]:
    for case in recording.cases:
        rows = recording.skipped[case.name]
        if rows:
            kinds = ", ".join(sorted({case.kinds[row] for row in rows}))
            yield f"not counted: {kinds} of '{case.name}', where the source itself gives NaN"


def _constant(name: str, arrays: list[Array]) -> Iterator[str]:
    """Name an output, or its channels, that are one value whatever the input."""
    if not arrays:
        yield f"output {name} is empty: there is nothing to compare"
        return
    if not any(np.ptp(array) > 0 for array in map(_numbers, arrays)):
        yield f"output {name} is the same number throughout, whatever the input"
        return
    if axes_of(arrays[0])[0] != 1 or arrays[0].ndim < 3:
        return
    sizes = {array.shape[1] for array in arrays}
    if len(sizes) == 1:
        dead = [str(i) for i in range(sizes.pop()) if not _varies(arrays, i)]
        if dead:
            more = f" and {len(dead) - _NAMED} more" if len(dead) > _NAMED else ""
            yield f"output {name}: channel {', '.join(dead[:_NAMED])}{more} never varies"


def _varies(arrays: list[Array], channel: int) -> bool:
    values = [_numbers(array[:, channel]) for array in arrays]
    low, high = min(v.min() for v in values), max(v.max() for v in values)
    return bool(high > low)


def _numbers(array: Array) -> Array:
    return np.nan_to_num(array.astype(np.float64))
