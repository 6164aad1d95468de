"""Are the nodes of our own domain what the contracts say: their inputs, their attributes?

ONNX's checks pass over domains that they do not know, and whatever is behind here relies on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import onnx

from simam_deploy.errors import InputError
from simam_deploy.op import contract, detection

_INPUTS = {**contract.INPUTS, **detection.INPUTS}
_ATTRIBUTES = {**contract.ATTRIBUTES, **detection.ATTRIBUTES}
_INTEGERS = {
    "num_groups": range(1, 2**31),
    "output_size": range(1, 257),
    "sampling_ratio": range(257),
}
"""By name, from what is sensible to what would be a bomb; attributes not here are floats."""


def check_own_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    """Check those nodes that are of an operator of the contracts.

    Raises:
        InputError: One has other inputs or attributes; it is named.
    """
    for node in nodes:
        if node.domain == contract.DOMAIN and node.op_type in _INPUTS:
            wrong = _inputs(node) or _attributes(node)
            if wrong:
                name = node.name or (node.output[0] if node.output else "")
                raise InputError(f"node {name!r} is {node.domain}::{node.op_type} {wrong}")


def _inputs(node: onnx.NodeProto) -> str:
    """Say what is wrong with the inputs, nothing where they are right."""
    names = _INPUTS[node.op_type]
    if len(node.input) != len(names) or not all(node.input) or len(node.output) != 1:
        found = sum(map(bool, node.input))
        return f"of {found} inputs and {len(node.output)} outputs, it has {len(names)} and 1"
    return ""


def _attributes(node: onnx.NodeProto) -> str:
    """Say what is wrong with the attributes."""
    given = {attribute.name: attribute for attribute in node.attribute}
    for name in _ATTRIBUTES[node.op_type]:
        if name not in given:
            return f"without {name}"
        attribute, allowed = given[name], _INTEGERS.get(name)
        kind = onnx.AttributeProto.FLOAT if allowed is None else onnx.AttributeProto.INT
        if attribute.type != kind:
            return f"whose {name} is no {'float' if allowed is None else 'integer'}"
        if attribute.ref_attr_name:  # in a function
            continue
        if math.isnan(attribute.f) if allowed is None else attribute.i not in allowed:
            return f"whose {name} is {attribute.f if allowed is None else attribute.i}"
    return ""
