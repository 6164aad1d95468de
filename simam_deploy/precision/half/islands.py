"""Cut the SimAM sites out of a graph, each with its own map as input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.graph.recognise import Site, recognise
from simam_deploy.precision.taps import copied


def cut_islands(model: ir.Model) -> tuple[Site, ...]:
    """Reduce a model of plain ops to its sites, in place.

    Site number i reads the new input `x<i>` and gives the output `y<i>`, both (N, C, H, W) and in
    the types that the graph has there; a Cast to half in front of the site is not part of it. An
    input of the graph stays where a site takes sizes from its Shape.

    Returns:
        The sites, in order.
    """
    sites = tuple(s for s in recognise(model).sites if not s.gate_only and _has_planes(s))
    graph = model.graph
    between = [_nodes_between(site.x, site.y) for site in sites]
    heads = [_behind_casts(s.x, nodes) for s, nodes in zip(sites, between, strict=True)]
    maps = [
        _new_input(f"x{i}", head, s) for i, (head, s) in enumerate(zip(heads, sites, strict=True))
    ]
    graph.outputs.clear()
    for head, nodes, x, site in zip(heads, between, maps, sites, strict=True):
        own = _of_planes(graph, x, site)
        for use in list(head.uses()):
            if use.node in nodes:
                use.node.replace_input_with(use.idx, own)
    # Behind the rewiring: a site's y may be the x of the next.
    for i, site in enumerate(sites):
        graph.outputs.append(copied(graph, _as_planes(graph, site), f"y{i}"))
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


def _new_input(name: str, like: ir.Value, site: Site) -> ir.Value:
    shape = like.shape if site.is_as_contract else ir.Shape([None] * 4)
    return ir.Value(name=name, shape=shape, type=like.type)


def _has_planes(site: Site) -> bool:
    """Tell whether a map (N, C, H, W) can be made one of the site's: merged sizes must be known."""
    return len(site.layout) < 5 or all(isinstance(size, int) for size in site.plane)


def _of_planes(graph: ir.Graph, planes: ir.Value, site: Site) -> ir.Value:
    """Put at a graph's start what makes a map of the site's layout of one (N, C, H, W)."""
    nodes = []
    if len(site.layout) != 4:
        sizes = [size for size in site.plane if isinstance(size, int)]
        nodes.append(_reshape(graph, planes, (0, 0, *(sizes if len(site.layout) == 5 else [-1]))))
    back = [site.layout.index(axis) for axis in range(len(site.layout))]
    nodes += _transpose(nodes[-1].outputs[0] if nodes else planes, back)
    for node in nodes:
        node.outputs[0].type = planes.type
    if not nodes:
        return planes
    graph.insert_before(graph[0], nodes)
    return nodes[-1].outputs[0]


def _as_planes(graph: ir.Graph, site: Site) -> ir.Value:
    """Put at a graph's end what makes the site's result (N, C, H, W)."""
    nodes = _transpose(site.y, list(site.layout))
    if len(site.layout) != 4:
        last = nodes[-1].outputs[0] if nodes else site.y
        nodes.append(_reshape(graph, last, (0, 0, 0, -1)))
    for node in nodes:
        node.outputs[0].type = site.y.type
    graph.extend(nodes)
    return nodes[-1].outputs[0] if nodes else site.y


def _reshape(graph: ir.Graph, value: ir.Value, shape: Sequence[int]) -> ir.Node:
    name = "_".join(["planes", *map(str, shape)])
    if name not in graph.initializers:
        tensor = ir.tensor(np.array(shape, np.int64), name=name)
        graph.register_initializer(ir.val(name, const_value=tensor))
    return ir.node("Reshape", [value, graph.initializers[name]])


def _transpose(value: ir.Value, order: Sequence[int]) -> list[ir.Node]:
    if list(order) == sorted(order):
        return []
    return [ir.node("Transpose", [value], {"perm": list(order)})]
