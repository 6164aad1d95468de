"""Replace each proved SimAM by one `simam::SimAM` node.

The node takes (N, C, H, W). A map of another layout is made one and back: by a Transpose where its
channels come last, and by a Reshape where it has not four dimensions: (N, C, L, 1) of (N, C, L) and
(N, C, D, H*W) of (N, C, D, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from simam_deploy.graph.recognise.find import recognise
from simam_deploy.graph.recognise.findings import Findings, Site
from simam_deploy.graph.tape import Tape
from simam_deploy.op import contract


def to_nodes(model: ir.Model, findings: Findings | None = None) -> int:
    """Replace each site of `model` by one `simam::SimAM` node, in place.

    x and y keep their names, so graph inputs and outputs do. Nodes and initializers that served
    only the sites go; an inner value that is used elsewhere, or is a graph output, stays with
    what computes it. A gate-only site is left as it is: the operator returns x times the gate.

    Args:
        model: The model.
        findings: What `recognise` said of it, if it has not been changed since.

    Returns:
        How many sites were replaced.
    """
    sites = (findings or recognise(model)).sites
    replaced = [site for site in sites if not site.gate_only and site.form != "function"]
    new: dict[ir.Value, ir.Value] = {}
    for site in replaced:
        # The x of a site may be the y of the one before.
        new[site.y] = _replace(model, site, new.get(site.x, site.x))
    if replaced:
        model.opset_imports[contract.DOMAIN] = contract.OP_VERSION
    return len(replaced)


def _replace(model: ir.Model, site: Site, x: ir.Value) -> ir.Value:
    """Put a node from `x` in the place of `site` and return its output."""
    graph, last = model.graph, site.y.producer()
    if last is None or last.graph is not graph:
        raise ValueError(f"site {site.name} is not of this model")
    inputs = [value for value in last.inputs if value is not None]
    tape = Tape(graph, last, model.opset_imports[""])
    planes = _as_planes(tape, x, site.layout)
    node = ir.node(
        contract.OP_TYPE,
        [planes],
        {contract.LAMBDA_ATTRIBUTE: site.e_lambda},
        domain=contract.DOMAIN,
        name=site.name,
        metadata_props=dict(last.metadata_props),
    )
    gated = tape.put(node)
    gated.type, gated.shape = planes.type, planes.shape
    y = _as_map(tape, gated, x, site.layout)
    y.metadata_props.update(site.y.metadata_props)
    tape.replace(last, y)
    _remove(graph, inputs)
    return y


def _as_planes(tape: Tape, x: ir.Value, layout: tuple[int, ...]) -> ir.Value:
    """Emit what makes (N, C, H, W) of a map, if it is of another layout."""
    x = _transposed(tape, x, layout)
    if len(layout) == 4:
        return x
    # A 0 is the dimension that stands there: right for every size.
    planes = tape.op("Reshape", x, tape.constant((0, 0, 0, -1)))
    if x.shape is not None:
        tail = [d for d in x.shape[3:] if isinstance(d, int)]
        merged = math.prod(tail) if len(tail) == len(x.shape[3:]) else None
        planes.type, planes.shape = x.type, ir.Shape([*x.shape[:3], merged])
    return planes


def _as_map(tape: Tape, y: ir.Value, x: ir.Value, layout: tuple[int, ...]) -> ir.Value:
    """Emit what makes a map like `x` of (N, C, H, W) again."""
    if len(layout) == 3:
        y = tape.op("Reshape", y, tape.constant((0, 0, 0)))
    elif len(layout) == 5:
        y = tape.reshape_like(y, _transposed(tape, x, layout))
    return _transposed(tape, y, tuple(layout.index(axis) for axis in range(len(layout))))


def _transposed(tape: Tape, x: ir.Value, order: tuple[int, ...]) -> ir.Value:
    """Emit a Transpose, and nothing where it would move nothing."""
    if order == tuple(range(len(order))):
        return x
    moved = tape.op("Transpose", x, attributes={"perm": list(order)})
    moved.type = x.type
    moved.shape = None if x.shape is None else ir.Shape([x.shape[axis] for axis in order])
    return moved


def _remove(graph: ir.Graph, values: Sequence[ir.Value]) -> None:
    """Remove what served only `values`, which a node had that is gone."""
    pending = list(values)
    while pending:
        value = pending.pop()
        node = value.producer()
        if node is None:
            if value.is_initializer() and not (value.uses() or value.is_graph_input()):
                graph.initializers.pop(value.name or "", None)
        elif node.graph is graph and not any(v.uses() or v.is_graph_output() for v in node.outputs):
            pending.extend(value for value in node.inputs if value is not None)
            graph.remove(node, safe=True)
