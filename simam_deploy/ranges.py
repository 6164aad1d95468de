"""What sample data does at the SimAM sites of a file: how far its planes spread."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from simam_deploy.artifacts import TensorSpec
from simam_deploy.dataset import Dataset
from simam_deploy.errors import UsageError
from simam_deploy.graph.precision import measure, rounded, tap_sites, typed
from simam_deploy.graph.readable import read_plain
from simam_deploy.graph.write import write_model
from simam_deploy.inspect_report import PlaneRange
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.runtime.protocol import Arrays

BATCH = 8
"""Samples at once: a 3x224x224 resnet50 then keeps 0.4 GB of maps."""


def measure_ranges(path: Path, dataset: Dataset) -> dict[str, PlaneRange]:
    """Run samples through a file and measure every plane of every site.

    Args:
        path: An .onnx of one input, in any precision; half rounds as it says.
        dataset: Samples of its input.

    Returns:
        By site the widest planes.

    Raises:
        InputError: The file or a sample cannot be used.
    """
    model = rounded(read_plain(path))
    names = [site.name for site in tap_sites(model)]
    found: dict[str, PlaneRange] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sites.onnx"
        write_model(typed(model), file)
        with OnnxRunner(file, as_written=True) as runner:
            for feeds in _feeds(runner.inputs, dataset):
                for name, x in zip(names, runner.run(feeds).values(), strict=True):
                    found[name] = _widest(found.get(name), measure(x))
    return found


def _feeds(inputs: Iterable[TensorSpec], dataset: Dataset) -> Iterator[Arrays]:
    """Make batches for the only input, as large as it takes them."""
    spec = only_input(tuple(inputs))
    fixed = spec.shape[0] if spec.shape else BATCH
    size = fixed if isinstance(fixed, int) else BATCH
    for batch in dataset.batches(size):
        if not isinstance(fixed, int) or len(batch.array) == fixed:
            yield {spec.name: batch.array}


def only_input(inputs: tuple[TensorSpec, ...]) -> TensorSpec:
    """Give the input that sample data is for.

    Raises:
        UsageError: There are more.
    """
    if len(inputs) != 1:
        raise UsageError(f"sample data is for models of one input, this has {len(inputs)}")
    return inputs[0]


def _widest(a: PlaneRange | None, b: PlaneRange) -> PlaneRange:
    if a is None:
        return b
    return PlaneRange(b.pixels, max(a.std, b.std), max(a.deviation, b.deviation))
