"""Run a graph that is not on disk yet."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

from simam_deploy.graph.precision import typed
from simam_deploy.graph.write import write_model
from simam_deploy.runtime.onnx_runner import OnnxRunner


@contextlib.contextmanager
def opened(model: ir.Model) -> Iterator[OnnxRunner]:
    """Open a model in ONNX Runtime as it is written; it is used up.

    Raises:
        InputError: ONNX Runtime does not take it.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.onnx"
        write_model(typed(model), file)
        with OnnxRunner(file, as_written=True) as runner:
            yield runner
