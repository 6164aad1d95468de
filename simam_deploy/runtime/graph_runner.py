"""Runs a graph that is in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx_ir as ir

from simam_deploy.graph.write import write_model
from simam_deploy.runtime.onnx_runner import OnnxRunner


def run_graph(model: ir.Model, name: str = "graph") -> OnnxRunner:
    """Open a graph in ONNX Runtime, as it is written; the file that this takes is gone again.

    Args:
        model: The graph.
        name: What an error calls it.

    Raises:
        InputError: ONNX Runtime does not take it.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{Path(name).stem}.onnx"
        write_model(model, file)
        return OnnxRunner(file, as_written=True)
