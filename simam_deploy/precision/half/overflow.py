"""Name the node of a half graph that overflows, if one does: the NaN comes out far behind it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Feeds
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.types import HALVES, LARGEST, float_type
from simam_deploy.precision.rounding import rounded
from simam_deploy.precision.taps import copied
from simam_deploy.runtime.graph_runner import run_model


def find_overflow(model: ir.Model, feeds: Feeds) -> str:
    """Run a half graph, and find the first node whose result its type cannot hold.

    Args:
        model: Plain ops; it is used up. All its maps are held at once.
        feeds: One array per input.

    Returns:
        The node, what it reaches and what can be done; nothing where no node overflows.

    Raises:
        InputError: ONNX Runtime does not take it.
    """
    dtype = float_type(model)
    model = typed(model)
    exact = [v for n in model.graph for v in n.outputs if v.dtype in HALVES]
    graph = rounded(model).graph  # each of them is now float32, and read behind its rounding
    graph.outputs[:] = [copied(graph, v, f"exact/{i}") for i, v in enumerate(exact)]
    for value, array in zip(exact, run_model(model, feeds), strict=True):
        largest = float(np.max(np.abs(array[np.isfinite(array)]), initial=0.0))
        if why := overflows(largest, dtype):
            return f"{_maker(value)}{why}"
    return ""


def overflows(largest: float, dtype: ir.DataType) -> str:
    """Word what is wrong with a result that reaches `largest`; nothing where half holds it."""
    if largest <= LARGEST[dtype]:
        return ""
    return (
        f" overflows {dtype.name.lower()}, which ends at {LARGEST[dtype]:.5g}: it reaches "
        f"{largest:.3g} (bfloat16 holds that; or leave the node in float32)"
    )


def _maker(value: ir.Value) -> str:
    """Name the node that a value comes from, that in front of a Cast."""
    node = value.producer()
    while node is not None and node.op_type == "Cast" and node.inputs[0] is not None:
        before = node.inputs[0].producer()
        if before is None:
            return f"input {node.inputs[0].name}"
        node = before
    assert node is not None
    return f"{node.op_type} {node.name or node.outputs[0].name}"
