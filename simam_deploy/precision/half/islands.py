"""Cut the SimAM sites out of a graph, each with its own map as input."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.graph.recognise import Site
from simam_deploy.precision.taps import copied, sites_of


def cut_islands(model: ir.Model) -> tuple[Site, ...]:
    """Reduce a model of plain ops to its sites, in place.

    Site number i reads the new input `x<i>` and gives the output `y<i>`, both in the types that
    the graph has there; a Cast to half in front of the site is not part of it. An input of the
    graph stays where a site takes sizes from its Shape.

    Returns:
        The sites, in order.
    """
    sites = sites_of(model)
    graph = model.graph
    between = [_nodes_between(site.x, site.y) for site in sites]
    heads = [_behind_casts(s.x, nodes) for s, nodes in zip(sites, between, strict=True)]
    maps = [_new_input(f"x{i}", head) for i, head in enumerate(heads)]
    graph.outputs.clear()
    for head, nodes, x in zip(heads, between, maps, strict=True):
        for use in list(head.uses()):
            if use.node in nodes:
                use.node.replace_input_with(use.idx, x)
    # Behind the rewiring: a site's y may be the x of the next.
    for i, site in enumerate(sites):
        graph.outputs.append(copied(graph, site.y, f"y{i}"))
    graph.inputs.extend(maps)
    RemoveUnusedNodesPass()(model)
    for value in [v for v in graph.inputs if not v.uses()]:
        graph.inputs.remove(value)
    return sites


def _nodes_between(x: ir.Value, y: ir.Value) -> set[ir.Node]:
    """Collect what y is computed with, as far back as x."""
    found: set[ir.Node] = set()
    pending: list[ir.Value | None] = [y]
    while pending:
        value = pending.pop()
        node = value.producer() if value is not None and value is not x else None
        if node is not None and node not in found:
            found.add(node)
            pending.extend(node.inputs)
    return found


def _behind_casts(x: ir.Value, nodes: set[ir.Node]) -> ir.Value:
    """Follow a float32 map down to where the site has it rounded."""
    while x.dtype == ir.DataType.FLOAT:
        readers = [use.node for use in x.uses() if use.node in nodes]
        if len(readers) != 1 or readers[0].op_type not in ("Cast", "Identity"):
            break
        x = readers[0].outputs[0]
    return x


def _new_input(name: str, like: ir.Value) -> ir.Value:
    return ir.Value(name=name, shape=like.shape, type=like.type)
