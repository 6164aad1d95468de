"""Runs a graph that is in memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.graph.file.read import mended, read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.passes.fix_batch import fix_batch
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
        file = Path(folder) / f"{Path(name).stem if _is_text(name) else 'graph'}.onnx"
        write_model(model, file)
        return OnnxRunner(file, as_written=True, threads=threads)


def run_exact(path: Path, batch: int | None = None) -> tuple[OnnxRunner, int]:
    """Open a file with its long sums parted, as it states them and not as the runtime adds them.

    Args:
        path: The .onnx.
        batch: What free first sizes of its inputs are fixed at.

    Returns:
        The runner, and how many sums were long: with none, the file runs as it is written.

    Raises:
        InputError: ONNX Runtime does not take it.
    """
    model = read_model(path)
    changed = bool(mended(model)) or batch is not None
    if batch is not None:
        fix_batch(model, batch)
    parted, count = resum(InlinePass()(model).model if model.functions else model)
    as_it_is = not (count or changed)
    return (_opened(path) if as_it_is else run_graph(parted, path.name)), count


def run_stored(path: Path) -> OnnxRunner:
    """Open a file as ONNX Runtime runs it, its long sums in one; put right where it must be.

    Raises:
        InputError: ONNX Runtime does not take it.
    """
    model = read_model(path)
    return run_graph(model, path.name) if mended(model) else _opened(path)


def _opened(path: Path) -> OnnxRunner:
    """Open a file where it lies; ONNX Runtime takes no path that is not UTF-8."""
    if _is_text(str(path)):
        return OnnxRunner(path, as_written=True)
    return run_graph(read_model(path))


def _is_text(name: str) -> bool:
    return name == os.fsencode(name).decode(errors="replace")


def run_model(model: ir.Model, feeds: Feeds) -> list[Array]:
    """Compute a model's outputs, in their order, once; feeds that it has no input for are left out.

    Raises:
        InputError: ONNX Runtime does not take the model.
    """
    with run_graph(model) as runner:
        taken = {spec.name: feeds[spec.name] for spec in runner.inputs}
        return list(runner.run(taken).values())
