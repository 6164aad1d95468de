"""Replace each proved SimAM by one `simam::SimAM` node."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.recognise.find import recognise
from simam_deploy.graph.recognise.findings import Findings, Site
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
        new[site.y] = _replace(model.graph, site, new.get(site.x, site.x))
    if replaced:
        model.opset_imports[contract.DOMAIN] = contract.OP_VERSION
    return len(replaced)


def _replace(graph: ir.Graph, site: Site, x: ir.Value) -> ir.Value:
    """Put a node from `x` in the place of `site` and return its output."""
    last = site.y.producer()
    if last is None or last.graph is not graph:
        raise ValueError(f"site {site.name} is not of this model")
    node = ir.node(
        contract.OP_TYPE,
        [x],
        {contract.LAMBDA_ATTRIBUTE: site.e_lambda},
        domain=contract.DOMAIN,
        name=site.name,
        metadata_props=dict(last.metadata_props),
    )
    y = node.outputs[0]
    y.name, y.type, y.shape = site.y.name, site.y.type, site.y.shape
    y.metadata_props.update(site.y.metadata_props)
    graph.insert_before(last, node)
    site.y.replace_all_uses_with(y, replace_graph_outputs=True)
    _remove(graph, last)
    return y


def _remove(graph: ir.Graph, node: ir.Node) -> None:
    """Remove `node`, whose outputs nothing uses, and what served only it."""
    pending = [node]
    while pending:
        node = pending.pop()
        if node.graph is not graph or any(v.uses() or v.is_graph_output() for v in node.outputs):
            continue
        inputs = [value for value in node.inputs if value is not None]
        graph.remove(node, safe=True)
        for value in inputs:
            if producer := value.producer():
                pending.append(producer)
            elif value.is_initializer() and not (value.uses() or value.is_graph_input()):
                graph.initializers.pop(value.name or "", None)
