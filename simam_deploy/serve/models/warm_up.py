"""The first runs of a model: it is known to work, and known to keep rows apart, before it serves.

A graph whose first dimension is free need not treat rows apart: a batch could be normalised as a
whole, or the dimension be time. So two rows are run together and each alone, and requests share
batches only if the results agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simam_deploy.core.arrays import Array, Feeds, numpy_type
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.runtime import Runner
from simam_deploy.serve.protocol.datatypes import is_floating
from simam_deploy.serve.protocol.profiles import profiles_of, usual_shapes
from simam_deploy.source.samples.inputs import picture_inputs, size_fact
from simam_deploy.source.samples.preparation import made_size, sizes_vary

_PLANE, _FRAMES = 224, 200
_AGREE = 1e-2
"""Of the largest value. The same row in another batch differs by rounding: 1e-6 in float32, 2e-3
in float16. Rows that see each other differ by tenths."""


def sample(runner: Runner, facts: Mapping[str, Any], rows: int) -> dict[str, Array]:
    """Draw one array per input, with `rows` where the first dimension is free.

    Other free dimensions get the size that the engine is tuned for or the manifest names, or else
    224 in maps and 200 in sequences. Floats are normal, all else is 0, which is a valid index; a
    network that is told the size of its pictures is told the whole.
    """
    rng = np.random.default_rng(0)
    usual = usual_shapes(profiles_of(runner))
    feeds = {
        spec.name: _draw(spec, (rows, *usual.get(spec.name, _sizes(spec, facts))[1:]), rng)
        for spec in runner.inputs
    }
    if size_fact(facts.get("preprocessing")):
        given = picture_inputs(runner.inputs, sized=True)
        if given.size is not None:
            feeds[given.size.name][:] = feeds[given.sample.name].shape[2:]
    return feeds


def _sizes(spec: TensorSpec, facts: Mapping[str, Any]) -> tuple[int, ...]:
    """Give a size for every dimension, should it be free.

    Where each picture has its own, a small one: 8 detectors at 800 x 1344 take a minute.
    """
    if len(spec.shape) != 4:
        return (_FRAMES,) * len(spec.shape)
    said = facts.get("preprocessing") or {}
    if sizes_vary(said, spec.shape[2:]):
        side = -(-_PLANE // said["pad_divisor"]) * said["pad_divisor"]
        return (side,) * 4
    height, width = made_size(said) or (_PLANE, _PLANE)
    return (height, height, height, width)


def _draw(spec: TensorSpec, free: tuple[int, ...], rng: np.random.Generator) -> Array:
    shape = tuple(d if isinstance(d, int) else free[i] for i, d in enumerate(spec.shape))
    dtype = np.dtype(numpy_type(spec.dtype))
    if not is_floating(dtype):
        return np.zeros(shape, dtype)
    return rng.standard_normal(shape, np.float32).astype(dtype)


def has_free_rows(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bool:
    """Tell whether every tensor's first dimension is free and, where named, of one name."""
    firsts = {spec.shape[0] if spec.shape else 0 for spec in (*inputs, *outputs)}
    return len(firsts) == 1 and isinstance(firsts.pop(), str)


def warm_up(runner: Runner, facts: Mapping[str, Any], most_rows: int) -> bool:
    """Run the model once with one row and once with the largest batch.

    Args:
        runner: The model.
        facts: Its manifest.
        most_rows: Of the largest batch.

    Returns:
        Whether requests may share a batch.

    Raises:
        InputError: The model does not run.
    """
    free = has_free_rows(runner.inputs, runner.outputs) and most_rows > 1
    feeds = sample(runner, facts, most_rows if free else 1)
    together = _run(runner, feeds)
    if not free:
        return False
    ends = {name: (array[:1], array[-1:]) for name, array in feeds.items()}
    first, last = (
        _run(runner, {name: pair[i].copy() for name, pair in ends.items()}) for i in (0, 1)
    )
    return all(_same_rows(together[n], first[n], last[n], most_rows) for n in together)


def check_runs(runner: Runner, facts: Mapping[str, Any]) -> None:
    """Run the model once with one row: of one whose rows were looked at when it started before.

    Raises:
        InputError: The model does not run.
    """
    _run(runner, sample(runner, facts, 1))


def _run(runner: Runner, feeds: Feeds) -> dict[str, Array]:
    try:
        return runner.run(feeds)
    except Exception as error:  # whatever a runtime raises
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"the model does not run on a drawn input: {reason}") from error


def _same_rows(together: Array, first: Array, last: Array, rows: int) -> bool:
    if together.shape[:1] != (rows,) or first.shape[:1] != (1,):
        return False
    alone = np.concatenate([first, last]).astype(np.float64)
    batched = together[[0, -1]].astype(np.float64)
    if alone.shape != batched.shape:
        return False
    scale = np.abs(alone).max(initial=0.0)
    return bool(np.abs(alone - batched).max(initial=0.0) <= _AGREE * scale)
