"""Fuse what follows a SimAM into its node: batch norm, skip connection, activation.

    SimAM -> [BatchNormalization] -> [Add] -> [Relu | Clip]

A fused kernel reads x (and the residual) once and writes once; apart, the same chain reads and
writes the map two to four times. `simam_deploy.op.contract` says what the fused operators compute.

Rules:
    1. Every value between the SimAM and the end of the chain is read once, by the next link,
       and is no graph output. The chain's end may be anything.
    2. BatchNormalization: in inference mode, its statistics constants.
    3. Add: the other operand has the map's shape, proved dimension by dimension.
    4. Clip: its bounds are constants.
    5. At least one link follows, and without a BatchNormalization C is static.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.graph.passes.batch_norm import affine, is_constant, tensor
from simam_deploy.graph.passes.links import is_op, only_use
from simam_deploy.graph.sites import dims, e_lambda_of, simam_nodes
from simam_deploy.op import contract


@dataclass
class _Chain:
    """A SimAM and the links found behind it so far."""

    nodes: list[ir.Node]
    norm: ir.Node | None = None
    residual: ir.Value | None = None
    clip: tuple[float, float] = contract.ACTIVATIONS["none"]

    @property
    def end(self) -> ir.Value:
        return self.nodes[-1].outputs[0]


def fuse_epilogue(model: ir.Model) -> int:
    """Fuse the epilogue of every SimAM node of the main graph that the rules allow.

    Returns:
        How many were fused.
    """
    count = 0
    for node in simam_nodes(model):
        if node.op_type != contract.OP_TYPE:
            continue
        chain = _Chain([node])
        _follow_norm(chain)
        _follow_add(chain)
        _follow_activation(chain)
        if len(chain.nodes) > 1 and (chain.norm is not None or _channels(node) is not None):
            _fuse(model.graph, chain)
            count += 1
    return count


def _follow_norm(chain: _Chain) -> None:
    """Rule 2."""
    norm, _ = only_use(chain.end) or (None, 0)
    if norm is None or not is_op(norm, "BatchNormalization"):
        return
    training = norm.attributes.get("training_mode")
    in_training = len(norm.outputs) > 1 or (training is not None and training.as_int() != 0)
    if not in_training and is_constant(*norm.inputs[1:]):
        chain.norm = norm
        chain.nodes.append(norm)


def _follow_add(chain: _Chain) -> None:
    """Rule 3."""
    add, index = only_use(chain.end) or (None, 0)
    if add is None or not is_op(add, "Add"):
        return
    other, shape = add.inputs[1 - index], dims(chain.nodes[0].inputs[0])
    if shape and "?" not in shape and dims(other) == shape:
        chain.residual = other
        chain.nodes.append(add)


def _follow_activation(chain: _Chain) -> None:
    """Rule 4."""
    node, _ = only_use(chain.end) or (None, 0)
    clip = None if node is None else _bounds(node)
    if node is not None and clip is not None:
        chain.clip = clip
        chain.nodes.append(node)


def _bounds(node: ir.Node) -> tuple[float, float] | None:
    """Read an activation as bounds; None where it is none of ours."""
    if is_op(node, "Relu"):
        return contract.ACTIVATIONS["relu"]
    if not is_op(node, "Clip") or not is_constant(*node.inputs[1:]):
        return None
    low, high = contract.ACTIVATIONS["none"]
    given = [None if v is None else float(tensor(v).numpy()) for v in node.inputs[1:]]
    given += [None] * (2 - len(given))
    return low if given[0] is None else given[0], high if given[1] is None else given[1]


def _channels(node: ir.Node) -> int | None:
    shape = dims(node.inputs[0])
    return shape[1] if len(shape) == 4 and isinstance(shape[1], int) else None


def _fuse(graph: ir.Graph, chain: _Chain) -> None:
    """Put one fused node where the chain ends."""
    simam, end = chain.nodes[0], chain.end
    inputs = [simam.inputs[0]]
    for role, array in zip(("scale", "bias"), _scale_and_bias(chain), strict=True):
        name = _free(graph, f"{end.name}/{role}")
        value = ir.val(name, const_value=ir.tensor(array.astype(np.float32), name=name))
        graph.register_initializer(value)
        inputs.append(value)
    if chain.residual is not None:
        inputs.append(chain.residual)
    numbers = (e_lambda_of(simam), *chain.clip)
    op_type = contract.EPILOGUE_OP_TYPE if chain.residual is None else contract.RESIDUAL_OP_TYPE
    attributes = dict(zip(contract.ATTRIBUTES[op_type], numbers, strict=True))
    fused = ir.node(op_type, inputs, attributes, domain=contract.DOMAIN, name=simam.name)
    new = fused.outputs[0]
    new.name, new.shape, new.type = end.name, end.shape, end.type
    ir.convenience.replace_nodes_and_values(
        graph, chain.nodes[-1], chain.nodes, [fused], [end], [new]
    )


def _free(graph: ir.Graph, name: str) -> str:
    """Give a name that no initializer has: a quantised tensor's own scale may be called so."""
    while name in graph.initializers:
        name += "_"
    return name


def _scale_and_bias(chain: _Chain) -> tuple[Array, Array]:
    """Give the batch norm's factor and addend, ones and zeros where there is none."""
    if chain.norm is not None:
        return affine(chain.norm)
    channels = _channels(chain.nodes[0])
    assert channels is not None
    return np.ones(channels), np.zeros(channels)
