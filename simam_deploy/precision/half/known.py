"""What a graph holds without being given any input: stored, filled in, moved and computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array

MOVES = {
    "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze",
}  # fmt: skip
"""They give what their first input holds."""
_DRAWN = {
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
}  # fmt: skip
_COMPUTED: Mapping[str, Callable[..., Array]] = {
    "Abs": np.abs,
    "Add": np.add,
    "Div": np.divide,
    "Exp": np.exp,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Pow": np.power,
    "Reciprocal": np.reciprocal,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
}
_SMALL = 1024
"""Elements of what is computed here: a scale or a vector, no weight; a file could ask for more."""


def constant_values(graph: ir.Graph) -> set[ir.Value]:
    """Collect the values that depend on no input of the graph and on no chance: all weights."""
    found = {v for v in graph.initializers.values() if not v.is_graph_input()}
    for node in graph:
        own = all(v is None or v in found for v in node.inputs)
        if own and node.op_type not in _DRAWN and not _has_graphs(node):
            found.update(node.outputs)
    return found


def _has_graphs(node: ir.Node) -> bool:
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(a.type in kinds for a in node.attributes.values() if not a.is_ref())


def known_values(model: ir.Model) -> dict[ir.Value, Array]:
    """Give the numbers of constants, as far as their range goes.

    What is moved is here as it was before: an Expand to a size that is read off a map by what it
    repeats. What is computed from more than 1024 elements is left out.

    Args:
        model: Its Constant nodes lifted to initializers.
    """
    stored = [v for v in model.graph.initializers.values() if not v.is_graph_input()]
    known = {v: v.const_value.numpy() for v in stored if v.const_value is not None}
    for node in model.graph:
        array = None if node.domain else _array(node, known)
        if array is not None:
            known.update(dict.fromkeys(node.outputs, array))
    return known


def _array(node: ir.Node, known: Mapping[ir.Value, Array]) -> Array | None:
    """Give what a node's result holds, None where it depends on the graph's inputs."""
    if node.op_type == "ConstantOfShape":
        fill = node.attributes.get("value")
        return np.zeros(1, np.float32) if fill is None else fill.as_tensor().numpy()
    inputs = [v for v in node.inputs if v is not None]
    if not inputs or inputs[0] not in known:
        return None
    if node.op_type in MOVES:
        return known[inputs[0]]
    if not known.keys() >= set(inputs) or sum(known[v].size for v in inputs) > _SMALL:
        return None
    with np.errstate(all="ignore"):
        try:
            return _computed(node.op_type, [known[v].astype(np.float64) for v in inputs])
        except (TypeError, ValueError):  # strings; a Max of three; shapes that were moved
            return None


def _computed(op_type: str, arrays: list[Array]) -> Array | None:
    """Compute an op of constants, None for one that is not in the table."""
    if op_type in ("Cast", "CastLike"):
        return arrays[0]
    if op_type in ("Concat", "Range"):  # a Range by its ends
        return np.concatenate([a.ravel() for a in arrays])
    rule = _COMPUTED.get(op_type)
    return None if rule is None else np.asarray(rule(*arrays))
