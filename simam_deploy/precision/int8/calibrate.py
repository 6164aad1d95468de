"""Measure what every tensor that is to be quantised holds on sample data.

The range is the one of least squared error (`Histogram.best_range`). Not by ONNX Runtime's
calibrators, which print, and keep the outputs of all samples or let their histograms grow with an
outlier. On the digits network the largest value and entropy cost a fifth more than this, and its
percentile as much (scripts/bench/calibration.py).

Samples are counted in parts, dealt in turn: how a range of one half of them does on the other says
how far samples can be relied on (`spread`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.core.progress import Progress
from simam_deploy.errors import InputError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed
from simam_deploy.precision.int8.formats import INT8, Format
from simam_deploy.precision.int8.runs import Runs, in_parts
from simam_deploy.precision.int8.spread import Spread
from simam_deploy.precision.taps import Taps
from simam_deploy.source.samples import Dataset


def calibrate(
    file: Path,
    tensors: tuple[str, ...],
    dataset: Dataset,
    progress: Progress = lambda step: None,
    numbers: Format = INT8,
) -> tuple[dict[str, Spread], Runs]:
    """Run the samples and count what each tensor holds, run by run.

    Args:
        file: The float32 model.
        tensors: Names of values in its main graph.
        dataset: The samples.
        progress: Told after every tenth of them.
        numbers: What they are to be quantised to.

    Returns:
        The counts of each tensor, and the runs that gave them.

    Raises:
        InputError: The samples are constant, do not fit the model, or a tensor is not finite.
    """
    spreads = {name: Spread(numbers) for name in tensors}
    done, varied = 0, False
    with open_taps(file, tensors) as taps:
        runs = Runs(dataset, taps)
        for feeds in runs:
            batch = len(feeds[runs.rows[0]])
            varied = varied or any(_varies(feeds[name]) for name in runs.rows)
            _count(spreads, taps.read(feeds), batch, done)
            step = done * 10 // runs.samples
            done += batch
            if done * 10 // runs.samples > step:
                progress(f"calibrating: {done} of {runs.samples} samples")
    if not varied:
        raise InputError(
            f"{dataset.name}: every sample is constant, which says nothing about the ranges that "
            "the network needs; calibrate with samples as it will see them"
        )
    return spreads, runs


def open_taps(file: Path, tensors: tuple[str, ...]) -> Taps:
    """Open a file for the named values of its main graph."""
    model = typed(read_model(file))
    values = {value.name: value for node in model.graph for value in node.outputs}
    values |= {value.name: value for value in model.graph.inputs}
    return Taps(model, [values[name] for name in tensors])


def _varies(array: Array) -> bool:
    """Tell whether any sample has a channel that is not one value throughout."""
    channels = array.reshape(*array.shape[:2], -1) if array.ndim > 3 else array[:, None]
    spread = channels.reshape(*channels.shape[:2], -1)
    return bool(np.any(spread.max(axis=-1) > spread.min(axis=-1)))


def _count(spreads: Mapping[str, Spread], values: Sequence[Array], batch: int, start: int) -> None:
    for (name, spread), array in zip(spreads.items(), values, strict=True):
        if not np.isfinite(array).all():
            raise InputError(f"the float32 network gives NaN or infinity at {name} on a sample")
        for counted, part in zip(spread.parts, in_parts(array, batch, start), strict=True):
            counted.add(part)
