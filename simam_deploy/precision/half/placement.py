"""Which nodes stay in float32 when a graph is made half.

Rules:
    1. SimAM, a node or written out in plain ops: the sum of squares of a 56x56 plane overflows
       float16 from std 4.6 on, every gate becomes 0.6225, and no NaN shows it. A node whose
       body or plugin brings its own float32 may be asked to take and give the half type.
    2. Sums and what is fragile behind them (`FRAGILE`): a ReduceSum grows with its extent, and
       sum(w x^2) - m^2 of WeSpeaker's pooling loses all digits in which the two agree: at mean 8
       and std 0.25 half is off by 40 %. Plain averages stay half: they cannot leave the range of
       what they average.
    3. Arithmetic that lies between such nodes, so that nothing is cast to and fro among them.
    4. What is computed from Shapes alone: small exact numbers, and scales that ops want in
       float32.
    5. What ONNX does not define for the half type, nodes with subgraphs, of other domains, and
       those without a float32 input.
    6. A node with a weight that half cannot hold: beyond the largest, or lost to underflow; and one
       with a constant of which half loses a single number, with what stands before and behind it
       (`constants`).
    7. Arithmetic with weights alone, as of a weight norm: it is rounded once, when it is done.
    8. Boxes and scores that something is selected by or from (`graph.selection.around`).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from simam_deploy.graph.recognise import recognise
from simam_deploy.graph.selection.around import around_selections
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.graph.types import EPSILON, LARGEST
from simam_deploy.precision.half.constants import unheld
from simam_deploy.precision.half.known import MOVES, constant_values
from simam_deploy.precision.half.schema import half_positions

FRAGILE = {
    "Exp",
    "Log",
    "LogSoftmax",
    "Pow",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Softmax",
    "Sqrt",
}
"""Rule 2's ops."""

_ARITHMETIC = {"Abs", "Add", "Clip", "Concat", "Div", "Max", "Min", "Mul", "Neg", "Sub"}
"""Rule 3's ops."""


def full_nodes(
    model: ir.Model, dtype: ir.DataType, simam_half: bool = False
) -> tuple[set[ir.Node], tuple[str, ...]]:
    """Choose the nodes of the main graph that compute in float32.

    Args:
        model: The model.
        dtype: The half type.
        simam_half: Whether SimAM nodes are excepted.

    Returns:
        The nodes, and a line for each that stays because of its weights or constants.
    """
    opset = model.opset_imports[""]
    sites = {node for site in recognise(model).sites for node in site.nodes}
    holders, around = unheld(model, dtype, sites)
    fragile = {n for n in model.graph if not n.domain and n.op_type in FRAGILE}
    fragile |= holders.keys() | around
    _absorb(model.graph, fragile)
    fixed = {n for n in model.graph if not _can_be_half(n, opset, dtype)}
    if simam_half:
        sites -= set(simam_nodes(model))
    full = sites | fragile | fixed | _from_shapes(model.graph) | _of_weights(model.graph)
    selected = around_selections(model.graph)
    full |= selected
    rest = [n for n in model.graph if n not in full]
    unfit = {n: reason for n in rest if (reason := _unfit_weight(n, opset, dtype))} | holders
    said = (n for n in model.graph if n in unfit and n not in selected)
    return full | unfit.keys(), tuple(f"{_name(n)} stays float32: {unfit[n]}" for n in said)


def _can_be_half(node: ir.Node, opset: int, dtype: ir.DataType) -> bool:
    """Rule 5."""
    inputs, _ = half_positions(node, opset, dtype)
    subgraphs = any(a.type in _GRAPHS for a in node.attributes.values() if not a.is_ref())
    return not subgraphs and any(is_float(node.inputs[i]) for i in inputs)


_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def is_float(value: ir.Value | None) -> bool:
    """Tell whether a value is float32."""
    return value is not None and value.dtype == ir.DataType.FLOAT


def _absorb(graph: ir.Graph, full: set[ir.Node]) -> None:
    """Rule 3: what has nothing but such nodes on one side, until nothing changes."""
    candidates = [n for n in graph if not n.domain and n.op_type in _ARITHMETIC]
    grew = bool(full)
    while grew:
        joining = [n for n in candidates if n not in full and _enclosed(n, full)]
        full.update(joining)
        grew = bool(joining)


def _enclosed(node: ir.Node, full: set[ir.Node]) -> bool:
    sources = {v.producer() for v in node.inputs if v is not None and not v.is_initializer()}
    readers = {use.node for use in node.outputs[0].uses()}
    ends = node.outputs[0].is_graph_output()
    return sources <= full or (bool(readers) and readers <= full and not ends)


def _from_shapes(graph: ir.Graph) -> set[ir.Node]:
    """Rule 4."""
    found: set[ir.Node] = set()
    for node in graph:
        sources = {v.producer() for v in node.inputs if v is not None and not v.is_initializer()}
        if node.op_type in ("Shape", "Size") or (sources and sources <= found):
            found.add(node)
    return found


def _of_weights(graph: ir.Graph) -> set[ir.Node]:
    """Rule 7."""
    constant = constant_values(graph)
    return {n for n in graph if n.op_type not in MOVES and set(n.outputs) <= constant}


def _unfit_weight(node: ir.Node, opset: int, dtype: ir.DataType) -> str:
    """Rule 6: say why the first such weight does not go into the half type, or nothing."""
    inputs, _ = half_positions(node, opset, dtype)
    for value in (node.inputs[i] for i in inputs):
        if is_float(value) and value is not None and value.const_value is not None:
            reason = unfit(value.const_value, dtype)
            if reason:
                return f"weight {value.name} {reason}"
    return ""


def unfit(tensor: ir.TensorProtocol, dtype: ir.DataType) -> str:
    """Say why a tensor cannot be rounded to `dtype`, or nothing.

    Rounding moves each normal number by at most half a unit, eps / 2 of it. A tensor that moves
    by more than eps in all (Euclidean norm) has its weight below the smallest normal number.
    """
    array = tensor.numpy().astype(np.float32, copy=False)
    array = array[np.isfinite(array)]  # half has infinities of its own
    largest = float(np.max(np.abs(array), initial=0.0))
    if largest > LARGEST[dtype]:
        return f"reaches {largest:.3g}, {dtype.name.lower()} ends at {LARGEST[dtype]:.5g}"
    moved = float(np.linalg.norm(array - array.astype(dtype.numpy()).astype(np.float32)))
    if moved > EPSILON[dtype] * float(np.linalg.norm(array)):
        return f"is too small for {dtype.name.lower()}: at most {largest:.1g}"
    return ""


def _name(node: ir.Node) -> str:
    return f"{node.op_type} {node.name or node.outputs[0].name}"
