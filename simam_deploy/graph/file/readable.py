"""Read a file so that its SimAM can be looked into: in plain ops, every value typed."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.lower.portable import lower_portable


def read_plain(path: Path) -> ir.Model:
    """Read a file, its `simam` nodes, which have functions or plugins for bodies, in plain ops.

    Raises:
        InputError: The file cannot be used.
    """
    model = read_model(path)
    lower_portable(model)
    return typed(model)
