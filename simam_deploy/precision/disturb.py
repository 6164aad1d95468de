"""Draw a graph's rounding anew: what changes in its outputs is what rounding costs it.

Every map that an operator computes is multiplied by 1 + u, u drawn evenly from [-unit, unit] anew
in every run; of a network that is to become half, it is then rounded to that, as a half network
stores it. Whoever wrote the network, it is told by its graph alone.

Drawn for every element, errors cancel in what is averaged later, as they do on a picture. On a
blank frame they do not: equal numbers round alike. So there is another way, a draw a channel.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx_ir as ir

from simam_deploy.errors import UsageError
from simam_deploy.graph.file.typed import with_types
from simam_deploy.graph.passes.opset import lower_opset
from simam_deploy.graph.recognise import recognise
from simam_deploy.graph.types import EPSILON, LAYERS
from simam_deploy.precision.half.constants import unheld
from simam_deploy.precision.half.known import constant_values
from simam_deploy.precision.half.layers import layers
from simam_deploy.precision.half.placement import unfit
from simam_deploy.precision.rounding import round_value

ROUNDING = LAYERS | {
    "Add", "AveragePool", "Div", "Einsum", "Exp", "GlobalAveragePool", "GroupNormalization",
    "InstanceNormalization", "LayerNormalization", "Log", "LogSoftmax", "Pow", "ReduceL2",
    "ReduceMean", "ReduceSum", "Resize", "RMSNormalization", "Softmax", "Sqrt", "Sub", "Sum",
}  # fmt: skip
"""Operators whose result is rounded by more than the unit or stored. A product, or an activation
of one value, adds one rounding to those of the sum that it is made of."""
_DRAW, _NOISE = "RandomUniformLike", "/noise"
_RANDOM_UNTIL = 21
"""Opset: of RandomUniformLike's later version, for bfloat16, ONNX Runtime has no kernel."""
_LEAST_RANK = 2
"""Of a map: what has fewer axes is arithmetic on sizes, which is exact. So is a quotient whose
floor is taken, the row that an index lies in: a millionth less than a whole number is another."""


def disturb(model: ir.Model, unit: float, half: ir.DataType | None = None) -> ir.Model:
    """Put noise behind every operator that rounds, and behind every SimAM as a whole.

    Args:
        model: Plain ops, computing in float32; it is used up.
        unit: The largest relative change.
        half: FLOAT16 or BFLOAT16, to round to behind it.

    Returns:
        The graph; every run of it draws anew for every element, and a fresh session draws the
        same again.
    """
    drawn = _draws(model)
    model = with_types(model)
    constants = constant_values(model.graph)
    sites = [site for site in recognise(model).sites if site.is_as_contract]
    inside = {node for site in sites for node in site.nodes}
    found = [n.outputs[0] for n in model.graph if n not in inside and _rounds(n)]
    exact = _exact(model, half, inside)
    if half is not None:
        for weight in dict.fromkeys(_weights(model, half, exact)):
            round_value(model.graph, weight, half)
    made = [value for value in found if value not in constants]
    for number, value in enumerate(dict.fromkeys([*made, *(site.y for site in sites)])):
        own = EPSILON[ir.DataType.FLOAT] if value in exact else unit
        noisy = _noisy(model.graph, value, _draw(value, own, number)) if drawn else value
        if half is not None and value not in exact:
            round_value(model.graph, noisy, half)
    return model


def draw_alike(model: ir.Model) -> None:
    """Have a graph of `disturb` draw once for all elements of a channel, in place."""
    for node in list(model.graph):
        if node.op_type == _DRAW and (node.outputs[0].name or "").endswith(_NOISE):
            drawn = _draw_channels(node)
            drawn.outputs[0].name = node.outputs[0].name
            node.outputs[0].replace_all_uses_with(drawn.outputs[0])
            model.graph.insert_before(node, drawn)
            model.graph.remove(node, safe=True)


def _exact(model: ir.Model, half: ir.DataType | None, sites: set[ir.Node]) -> set[ir.Value]:
    """Collect what is float32 in a half graph, for the sake of a constant, and read by its like.

    A position in a grid that is 1e5 away would be infinite in half, and its noise unknown. What a
    selection selects by is float32 too (`graph.selection.around`), and drawn as half all the same:
    which of two rows is the eighth best shows in no two draws otherwise.
    """
    if half is None:
        return set()
    kept = set().union(*unheld(model, half, sites))
    return {
        value
        for node in kept
        for value in node.outputs
        if not value.is_graph_output() and kept.issuperset(use.node for use in value.uses())
    }


def _draws(model: ir.Model) -> bool:
    """Bring a graph down to where ONNX Runtime has random numbers; False where it cannot be."""
    try:
        lower_opset(model, _RANDOM_UNTIL)
    except UsageError:
        return False
    return True


def _rounds(node: ir.Node) -> bool:
    value = node.outputs[0]
    if node.domain or node.op_type not in ROUNDING or value.dtype != ir.DataType.FLOAT:
        return False
    floored = {use.node.op_type for use in value.uses()} == {"Floor"}
    return value.shape is not None and len(value.shape) >= _LEAST_RANK and not floored


def _weights(model: ir.Model, half: ir.DataType, exact: Collection[ir.Value]) -> Iterator[ir.Value]:
    """Yield the weights that half can hold, batch norm's apart: they stay float32.

    Without them a correct float16 of an attention comes to 1.3 times the cost that is told.
    """
    for node in layers(model):
        stays = node.op_type == "BatchNormalization" or node.outputs[0] in exact
        for value in () if stays else node.inputs[1:]:
            tensor = value.const_value if value is not None else None
            if value is not None and tensor is not None and not unfit(tensor, half):
                yield value


def _draw(value: ir.Value, unit: float, seed: int) -> ir.Node:
    """Make the node that draws 1 + u for every element of a map (N, C, ...)."""
    how = {"low": 1 - unit, "high": 1 + unit, "seed": float(seed), "dtype": ir.DataType.FLOAT}
    return ir.node(_DRAW, [value], attributes=how)


def _draw_channels(node: ir.Node) -> ir.Node:
    """Make the node that draws 1 + u for every channel of the map that another draws for."""
    (value,) = node.inputs
    assert value is not None and value.shape is not None
    channels = value.shape[1]
    ones = [1] * len(value.shape)
    ones[1] = channels if isinstance(channels, int) else 1
    shape = ir.AttrInt64s("shape", ones)
    return ir.node("RandomUniform", [], attributes={**node.attributes, "shape": shape})


def _noisy(graph: ir.Graph, value: ir.Value, noise: ir.Node) -> ir.Value:
    """Let all readers of a value, and the graph's output, have it times what is drawn."""
    producer = value.producer()
    assert producer is not None
    product = ir.node("Mul", [value, noise.outputs[0]])
    noisy = product.outputs[0]
    noise.outputs[0].name = f"{value.name}{_NOISE}"
    noisy.name, noisy.shape, noisy.type = f"{value.name}/noisy", value.shape, value.type
    was_output = value.is_graph_output()
    value.replace_all_uses_with(noisy, replace_graph_outputs=was_output)
    noise.replace_input_with(0, value)
    product.replace_input_with(0, value)
    if was_output:
        value.name, noisy.name = f"{value.name}/undisturbed", value.name
    graph.insert_after(producer, [noise, product])
    return noisy
