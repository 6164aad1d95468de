"""What sample data does at the SimAM sites of a file: how far its planes spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.inspection import PlaneRange
from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.prepare import plain
from simam_deploy.precision.half.audit import measure
from simam_deploy.precision.taps import SiteRecorder
from simam_deploy.source.samples import Dataset
from simam_deploy.source.samples.inputs import batch_of, feeds_of

BATCH = 8
"""Samples at once: a 3x224x224 resnet50 then keeps 0.4 GB of maps."""


def measure_ranges(path: Path, dataset: Dataset) -> dict[str, PlaneRange]:
    """Run samples through a file and measure every plane of every site.

    Args:
        path: An .onnx that samples give the inputs of, in any precision; half rounds as it says.
        dataset: The samples.

    Returns:
        By site the widest planes.

    Raises:
        InputError: The file or a sample cannot be used.
        UsageError: The file takes other inputs than the samples give.
    """
    found: dict[str, PlaneRange] = {}
    with SiteRecorder(plain(read_model(path))) as recorder:
        for feeds in _feeds(recorder.inputs, dataset):
            for sample in recorder.record(feeds):
                found[sample.name] = _widest(found.get(sample.name), measure(sample.x))
    return found


def _feeds(inputs: Sequence[TensorSpec], dataset: Dataset) -> Iterator[Feeds]:
    """Make batches, as large as the inputs take them."""
    fixed = batch_of(inputs)
    for batch in dataset.batches(fixed or BATCH):
        if fixed in (None, len(batch)):
            yield feeds_of(inputs, batch)


def _widest(a: PlaneRange | None, b: PlaneRange) -> PlaneRange:
    if a is None:
        return b
    return PlaneRange(b.pixels, max(a.std, b.std), max(a.deviation, b.deviation))
