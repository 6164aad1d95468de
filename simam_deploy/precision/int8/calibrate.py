"""Measure the range of every tensor that is to be quantised, on sample data.

The range is the one of least squared error (`Histogram.best_range`). Not by ONNX Runtime's
calibrators, which print, and keep the outputs of all samples or let their histograms grow with an
outlier. On the digits network the largest value and entropy cost a fifth more than this, and its
percentile as much (scripts/bench/calibration.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.core.progress import Progress
from simam_deploy.errors import InputError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed
from simam_deploy.precision.int8.histogram import Histogram
from simam_deploy.precision.taps import Taps
from simam_deploy.source.samples import Batch, Dataset

_BYTES = 2**26
"""Of the tensors that a batch gives; the runtime holds as much again while it makes them."""
_LARGEST_BATCH = 32


def calibrate(
    file: Path, tensors: tuple[str, ...], dataset: Dataset, progress: Progress
) -> dict[str, Histogram]:
    """Run the samples and count what each tensor holds.

    Args:
        file: The float32 model.
        tensors: Names of values in its main graph.
        dataset: The samples.
        progress: Told after every tenth of them.

    Returns:
        A histogram a tensor.

    Raises:
        InputError: The samples are constant, do not fit the model, or a tensor is not finite.
    """
    histograms = {name: Histogram() for name in tensors}
    done, varied = 0, False
    with open_taps(file, tensors) as taps:
        (spec,) = taps.inputs
        for batch in _batches(dataset, taps):
            varied = varied or _varies(batch.array)
            _count(histograms, taps.read({spec.name: batch.array}))
            step = done * 10 // len(dataset)
            done += len(batch.array)
            if done * 10 // len(dataset) > step:
                progress(f"calibrating: {done} of {len(dataset)} samples")
    if not varied:
        raise InputError(
            f"{dataset.name}: every sample is constant, which says nothing about the ranges that "
            "the network needs; calibrate with samples as it will see them"
        )
    return histograms


def open_taps(file: Path, tensors: tuple[str, ...]) -> Taps:
    """Open a file for the named values of its main graph."""
    model = typed(read_model(file))
    values = {value.name: value for node in model.graph for value in node.outputs}
    values |= {value.name: value for value in model.graph.inputs}
    return Taps(model, [values[name] for name in tensors])


def _batches(dataset: Dataset, taps: Taps) -> Iterator[Batch]:
    """Yield batches of the model's own size, or of one that memory allows.

    Raises:
        InputError: The model's batch is fixed, and larger than the dataset.
    """
    (spec,) = taps.inputs
    fixed = spec.shape[0]
    if isinstance(fixed, int):
        if fixed > len(dataset):
            raise InputError(
                f"{dataset.name} has {len(dataset)} samples, the model takes {fixed} at once: give "
                "more, or export with a free batch"
            )
        return (batch for batch in dataset.batches(fixed) if len(batch.array) == fixed)
    single = next(dataset.batches(1)).array
    taken = sum(value.nbytes for value in taps.read({spec.name: single}))
    return dataset.batches(max(1, min(_LARGEST_BATCH, _BYTES // taken)))


def _varies(array: Array) -> bool:
    """Tell whether any sample has a channel that is not one value throughout."""
    channels = array.reshape(*array.shape[:2], -1) if array.ndim > 3 else array[:, None]
    spread = channels.reshape(*channels.shape[:2], -1)
    return bool(np.any(spread.max(axis=-1) > spread.min(axis=-1)))


def _count(histograms: Mapping[str, Histogram], values: Sequence[Array]) -> None:
    for (name, histogram), array in zip(histograms.items(), values, strict=True):
        if not np.isfinite(array).all():
            raise InputError(f"the float32 network gives NaN or infinity at {name} on a sample")
        histogram.add(array)
