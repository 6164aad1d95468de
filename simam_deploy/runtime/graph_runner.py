"""Runs a graph that is in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.passes.resum import resum
from simam_deploy.runtime.onnx_runner import OnnxRunner


def run_graph(model: ir.Model, name: str = "graph", threads: int | None = None) -> OnnxRunner:
    """Open a graph in ONNX Runtime, as it is written; the file that this takes is gone again.

    Args:
        model: The graph.
        name: What an error calls it.
        threads: As for `OnnxRunner`.

    Raises:
        InputError: ONNX Runtime does not take it.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{Path(name).stem}.onnx"
        write_model(model, file)
        return OnnxRunner(file, as_written=True, threads=threads)


def run_exact(path: Path) -> tuple[OnnxRunner, int]:
    """Open a file with its long sums parted, as it states them and not as the runtime adds them.

    Returns:
        The runner, and how many sums were long: with none, the file runs as it is written.

    Raises:
        InputError: ONNX Runtime does not take it.
    """
    model = read_model(path)
    parted, count = resum(InlinePass()(model).model if model.functions else model)
    return (run_graph(parted, path.name) if count else OnnxRunner(path, as_written=True)), count


def run_model(model: ir.Model, feeds: Feeds) -> list[Array]:
    """Compute a model's outputs, in their order, once; feeds that it has no input for are left out.

    Raises:
        InputError: ONNX Runtime does not take the model.
    """
    with run_graph(model) as runner:
        taken = {spec.name: feeds[spec.name] for spec in runner.inputs}
        return list(runner.run(taken).values())
