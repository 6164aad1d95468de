"""Find a detector's operators again in a file that holds them in ONNX's own ops.

What is written by default (the routed form) has lost its nodes, and an engine wants them: for its
plugin, or for the form that it builds. A file's ops are held against those that would be written
today, from the result back, node by node and number by number, so that nothing else is taken. A
simplifier may have computed ahead what follows from shapes and attributes alone, and have made one
of an Unsqueeze and what reshaped its input before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.core.arrays import Array
from simam_deploy.graph.body_tape import LoopTape
from simam_deploy.graph.detect import ROUTED, STANDARD
from simam_deploy.graph.detect.bodies import ROI_ALIGN_BELOW, emit_of, kinds_of
from simam_deploy.graph.lower import FUNCTIONS_SINCE
from simam_deploy.graph.types import HALVES
from simam_deploy.op import contract, detection

_KINDS = (
    (detection.NMS_OP_TYPE, STANDARD, ir.DataType.FLOAT, {}),
    (detection.NMS_OP_TYPE, STANDARD, ir.DataType.FLOAT, {"num_groups": 1}),
    *(
        (detection.ALIGN_OP_TYPE, form, dtype, {})
        for form in (ROUTED, STANDARD)
        for dtype in (ir.DataType.FLOAT, *HALVES)
    ),
)
"""Operators, by form, by the dtype of their result and by what is known of them."""
_RESHAPING = ("Identity", "Reshape", "Squeeze", "Unsqueeze")
_OPEN = "attribute"
"""Marks a pattern's value that stands for an attribute of that name."""
_MOST_GROUPS = 65536


def to_detection_nodes(model: ir.Model) -> int:
    """Make a node of every operator that stands in the standard form, in place.

    Args:
        model: Its types known.

    Returns:
        How many were found.
    """
    opset = model.opset_imports[""]
    if opset < FUNCTIONS_SINCE:
        return 0
    patterns = [_Pattern(*kind, opset) for kind in _KINDS]
    # From the end: of maps in half, the Cast behind the sum is the operator's last op.
    count = sum(_replace(model.graph, node, patterns) for node in reversed(list(model.graph)))
    if count:
        model.opset_imports[contract.DOMAIN] = contract.OP_VERSION
        RemoveUnusedNodesPass()(model)
    return count


def _replace(graph: ir.Graph, last: ir.Node, patterns: list[_Pattern]) -> bool:
    """Put the operator where `last` gives its result, if it does and somebody reads it."""
    if not any(value.uses() or value.is_graph_output() for value in last.outputs):
        return False
    for pattern in patterns:
        match = pattern.find(last)
        if match is None:
            continue
        op_type, old = pattern.op_type, last.outputs[0]
        inputs = [match.found.get(value) for value in pattern.inputs]
        node = ir.node(
            op_type,
            [value or _zeros(graph, last, inputs[1]) for value in inputs],
            match.numbers,
            domain=contract.DOMAIN,
            name=(last.name or op_type).rpartition("/")[0] or last.name,
        )
        node.outputs[0].name, node.outputs[0].type = old.name, old.type
        node.outputs[0].shape = old.shape
        ir.convenience.replace_nodes_and_values(graph, last, [last], [node], [old], node.outputs)
        return True
    return False


def _zeros(graph: ir.Graph, before: ir.Node, like: ir.Value | None) -> ir.Value:
    """Insert the groups (B, M) of scores that are all of one, which needs none."""
    shape = ir.node("Shape", [like], name=f"{before.name}/Shape")
    zeros = ir.node("ConstantOfShape", shape.outputs, {"value": _ZERO}, name=f"{before.name}/zeros")
    for node, kind in ((shape, "shape"), (zeros, "groups")):
        node.outputs[0].name = f"{before.outputs[0].name}/{kind}"
        node.outputs[0].type = ir.TensorType(ir.DataType.INT64)
    graph.insert_before(before, [shape, zeros])
    return zeros.outputs[0]


_ZERO = ir.tensor([0], dtype=ir.DataType.INT64)


class _OpenTape(LoopTape):
    """A tape whose attributes are yet to be found, but for those in `told`."""

    def __init__(self, graph: ir.Graph, node: ir.Node, opset: int, told: Mapping[str, int]) -> None:
        super().__init__(graph, node, opset)
        self._told = told

    def known(self, name: str) -> int | None:
        """Give what was told."""
        return self._told.get(name)

    def attribute(self, name: str, kind: ir.AttributeType = ir.AttributeType.FLOAT) -> ir.Value:
        """Give a value that stands for the attribute."""
        return ir.Value(name=name, metadata_props={_OPEN: name})

    def passed_on(self, name: str, own: str) -> ir.Attr:
        """Refer to it."""
        return ir.RefAttr(name, own, ir.AttributeType.INT)


class _Pattern:
    """The ops that one operator is written in, with a result of that dtype."""

    def __init__(
        self, op_type: str, form: str, dtype: ir.DataType, told: Mapping[str, int], opset: int
    ) -> None:
        self.op_type, self._told = op_type, told
        kind = ir.TensorType(dtype)
        self.inputs = [
            ir.Value(name=name, type=kind if name.startswith("x") else None)
            for name in detection.INPUTS[op_type]
        ]
        node = ir.node(op_type, self.inputs, outputs=[ir.Value(name="y", type=kind)], name="y")
        graph = ir.Graph(self.inputs, node.outputs, nodes=[node], opset_imports={"": opset})
        tape = _OpenTape(graph, node, opset, told)
        # A file of a newer opset may have been converted to it, its RoiAlign too.
        emit = emit_of(op_type, form, min(opset, ROI_ALIGN_BELOW - 1))
        tape.replace(node, emit(tape, self.inputs))
        self._last = graph[-1]

    def find(self, last: ir.Node) -> _Match | None:
        """Hold what a node gives against the pattern."""
        if last.domain or last.op_type != self._last.op_type:
            return None
        match = _Match(numbers=dict(self._told))
        if not (match.computes(self._last.outputs[0], last.outputs[0]) and match.reshapes()):
            return None
        match.read_groups()
        return match if match.numbers.keys() == kinds_of(self.op_type).keys() else None


@dataclass
class _Match:
    """What of a pattern was found.

    Attributes:
        found: The graph's value by the pattern's.
        numbers: The operator's attributes.
        reshaped: What should be an Unsqueeze of an input: the input, and what is there.
    """

    found: dict[ir.Value, ir.Value] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    reshaped: list[tuple[ir.Value, ir.Value]] = field(default_factory=list)

    def computes(self, ours: ir.Value | None, theirs: ir.Value | None) -> bool:
        """Tell whether their value is computed as ours is."""
        if ours is None or theirs is None:
            return ours is theirs
        if ours in self.found:
            return self.found[ours] is theirs
        self.found[ours] = theirs
        node, stored = ours.producer(), ir.convenience.get_const_tensor(theirs)
        if _OPEN in ours.metadata_props:
            found = _read(stored, 1)
            return found is not None and self._note(ours.name, found.item())
        if ours.const_value is not None:
            found = _read(stored, ours.const_value.size)
            return found is not None and found.tolist() == ours.const_value.numpy().tolist()
        if node is None:  # an input
            return True
        if stored is not None:
            return _follows(ours)
        return ours.index() == theirs.index() and self._same(node, theirs.producer())

    def _same(self, ours: ir.Node, theirs: ir.Node | None) -> bool:
        if theirs is not None and (ours.op_type, theirs.op_type) == ("Unsqueeze", "Reshape"):
            self.reshaped.append((ours.inputs[0], theirs.outputs[0]))  # type: ignore[arg-type]
            return True
        return (
            theirs is not None
            and (theirs.domain, theirs.op_type) == ("", ours.op_type)
            and len(theirs.inputs) == len(ours.inputs)
            and self._attributes(ours.attributes, theirs.attributes)
            and all(map(self.computes, ours.inputs, theirs.inputs))
        )

    def _attributes(self, ours: Mapping[str, ir.Attr], theirs: Mapping[str, ir.Attr]) -> bool:
        if ours.keys() != theirs.keys():
            return False
        return all(
            self._note(attribute.ref_attr_name, theirs[name].value)
            if attribute.is_ref()
            else attribute.value == theirs[name].value
            for name, attribute in ours.items()
        )

    def _note(self, name: str | None, number: Any) -> bool:
        """Take an attribute's number, which must be the same wherever it is read."""
        return bool(self.numbers.setdefault(name or "", number) == number)

    def reshapes(self) -> bool:
        """Tell whether what was reshaped is what was found elsewhere, in another shape."""
        return all(
            ours in self.found and _source(self.found[ours]) is _source(theirs)
            for ours, theirs in self.reshaped
        )

    def read_groups(self) -> None:
        """Count the groups, 0, 1 and so on as (1, G, 1), where a simplifier has listed them."""
        for ours, theirs in self.found.items():
            node, stored = ours.producer(), ir.convenience.get_const_tensor(theirs)
            if node is None or node.op_type != "Reshape" or stored is None:
                continue
            size = min(stored.size, _MOST_GROUPS)
            order = _read(stored, size)
            if order is not None and order.tolist() == [[[i] for i in range(size)]]:
                self.numbers["num_groups"] = size


def _follows(ours: ir.Value) -> bool:
    """Tell whether a value follows from shapes, attributes and constants alone."""
    node = ours.producer()
    if node is None:
        return ours.const_value is not None or _OPEN in ours.metadata_props
    return node.op_type == "Shape" or all(v is not None and _follows(v) for v in node.inputs)


def _source(value: ir.Value) -> ir.Value:
    """Go back to where a value had another shape first."""
    node = value.producer()
    while node is not None and node.op_type in _RESHAPING and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _read(tensor: ir.TensorProtocol | None, size: int) -> Array | None:
    """Read a constant of that many elements; None where it has more or fewer, or there is none."""
    return None if tensor is None or tensor.size != size else tensor.numpy()
