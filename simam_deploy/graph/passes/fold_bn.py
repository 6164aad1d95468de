"""Fold BatchNormalization into the convolution before or behind it.

With a = gamma / sqrt(var + epsilon) and b = beta - mean * a, BN is y = a * x + b per channel:

    behind a Conv:     w' = w * a per filter,        bias' = bias * a + b
    in front of one:   w' = w * a per input channel, bias' = bias + sum(w * b)

Behind SimAM neither applies: the gate stands between. The new weights are computed in float64
when they are written, so that no second set of weights is held (98 MB for a ResNet-50).

Rules:
    1. BN's statistics and the Conv's weights are initializers.
    2. Behind: nothing but the BN reads the Conv's output, and it is no graph output.
    3. In front: nothing but an ungrouped Conv that pads nothing reads the BN's output, and it is
       no graph output. (Padding stands for zeros of the BN's output, not of its input.) This is
       the BN behind the ReLU of WeSpeaker's attentive pooling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.graph.passes.batch_norm import affine, is_constant, tensor
from simam_deploy.graph.passes.links import is_op, only_use


def fold_bn(model: ir.Model) -> int:
    """Fold every BN of the main graph that the rules allow.

    Returns:
        How many were folded.
    """
    count = 0
    for bn in [n for n in model.graph if is_op(n, "BatchNormalization")]:
        before, behind = conv_of(bn)
        if before is not None:
            _refill(model.graph, before, partial(_filters, *affine(bn)))
            _take_over(bn.outputs[0], before.outputs[0])
        elif behind is not None:
            _refill(model.graph, behind, partial(_channels, *affine(bn)))
            behind.replace_input_with(0, bn.inputs[0])
        else:
            continue
        model.graph.remove(bn, safe=True)
        count += 1
    return count


def conv_of(bn: ir.Node) -> tuple[ir.Node | None, ir.Node | None]:
    """Return the Conv before and the one behind that a BN folds into, None where rules forbid."""
    before, behind = _conv_before(bn), _conv_behind(bn)
    return (
        before if before is not None and _constant(bn, before) else None,
        behind if behind is not None and _constant(bn, behind) else None,
    )


def _take_over(old: ir.Value, new: ir.Value) -> None:
    """Let `new` be read wherever `old` was; where that is a graph output, under its name."""
    name, was_output = old.name, old.is_graph_output()
    new.shape, new.type = old.shape, old.type
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    if was_output:
        old.name, new.name = None, name


def _conv_before(bn: ir.Node) -> ir.Node | None:
    """Rule 2."""
    source = bn.inputs[0]
    conv = source.producer() if source is not None else None
    if source is None or not is_op(conv, "Conv") or only_use(source) is None:
        return None
    return conv


def _conv_behind(bn: ir.Node) -> ir.Node | None:
    """Rule 3."""
    conv, index = only_use(bn.outputs[0]) or (None, 0)
    return (
        conv if conv is not None and is_op(conv, "Conv") and index == 0 and _plain(conv) else None
    )


def _plain(conv: ir.Node) -> bool:
    """Tell whether a Conv pads nothing and has one group."""
    pads, group = conv.attributes.get("pads"), conv.attributes.get("group")
    auto_pad = conv.attributes.get("auto_pad")
    return (
        (pads is None or not any(pads.as_ints()))
        and (group is None or group.as_int() == 1)
        and (auto_pad is None or auto_pad.as_string() in ("NOTSET", "VALID"))
    )


def _constant(bn: ir.Node, conv: ir.Node) -> bool:
    """Rule 1."""
    return is_constant(*bn.inputs[1:], *conv.inputs[1:])


def _filters(a: Array, b: Array, weight: Array, bias: Array) -> tuple[Array, Array]:
    """Scale what comes out of the convolution; all float64."""
    return weight * a.reshape(-1, *[1] * (weight.ndim - 1)), bias * a + b


def _channels(a: Array, b: Array, weight: Array, bias: Array) -> tuple[Array, Array]:
    """Scale what goes into the convolution; all float64."""
    per_input = (1, -1, *[1] * (weight.ndim - 2))
    added = (weight * b.reshape(per_input)).reshape(len(weight), -1).sum(axis=1)
    return weight * a.reshape(per_input), bias + added


def _refill(
    graph: ir.Graph, conv: ir.Node, fold: Callable[[Array, Array], tuple[Array, Array]]
) -> None:
    """Give a Conv folded weights and a folded bias, computed when they are asked for."""
    weight = tensor(conv.inputs[1])
    bias = tensor(conv.inputs[2]) if len(conv.inputs) > 2 and conv.inputs[2] else None
    filters = weight.shape[0]
    assert isinstance(filters, int)

    def folded(which: int) -> ir.TensorProtocol:
        old = np.zeros(filters) if bias is None else bias.numpy().astype(np.float64)
        array = fold(weight.numpy().astype(np.float64), old)[which]
        return ir.tensor(array.astype(weight.dtype.numpy()))

    name = _weight_name(conv)
    conv.resize_inputs(3)
    for index, role, shape in ((1, "weight", weight.shape.numpy()), (2, "bias", (filters,))):
        compute = partial(folded, index - 1)
        value = _lazy(f"{name}/folded_{role}", weight.dtype, shape, compute)
        graph.register_initializer(value)
        conv.replace_input_with(index, value)


def _weight_name(conv: ir.Node) -> str | None:
    """Give the weight's name, or one of this Conv's own where others share the weight."""
    weight = conv.inputs[1]
    assert weight is not None
    return weight.name if len(weight.uses()) == 1 else conv.outputs[0].name


def _lazy(
    name: str, dtype: ir.DataType, shape: Sequence[int], compute: Callable[[], ir.TensorProtocol]
) -> ir.Value:
    return ir.val(
        name, const_value=ir.LazyTensor(compute, dtype=dtype, shape=ir.Shape(shape), name=name)
    )
