"""Part a graph at its landmarks, so that no two parts feed each other.

Nodes that no input reaches, as of weights in eight bits, are left out. Every other is known by the
landmarks that it is computed from, a set of bits. Sets only grow along an edge, so parts that are
told apart by their sets are in no circle. Within a set, what follows its last landmark before the
next layer (a residual's Add, an activation) is told from the rest.

A landmark takes in what leads to it alone and what follows it, as far as the skip is added: a
residual block, wherever in it SimAM stands. What is computed before a skip leaves, as a ResNet's
stem is, stays a part of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from simam_deploy.op import contract

OPENERS = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul"),
    *("GlobalAveragePool", "GlobalMaxPool", "ReduceMean"),
)
"""What begins a new part behind a landmark: layers with weights, and means over a whole map."""


@dataclass
class Unit:
    """A part of a graph.

    Attributes:
        before: What leads to the landmark, in the graph's order; all, where there is none.
        beside: What goes past it, to what follows.
        landmark: The SimAM site or detector's operator.
        after: What follows it.
    """

    before: list[ir.Node] = field(default_factory=list)
    beside: list[ir.Node] = field(default_factory=list)
    landmark: ir.Node | None = None
    after: list[ir.Node] = field(default_factory=list)

    @property
    def nodes(self) -> list[ir.Node]:
        """All of them."""
        own = [] if self.landmark is None else [self.landmark]
        return [*self.before, *self.beside, *own, *self.after]


Level = tuple[int, bool]
"""The landmarks that a node is computed from, and whether a layer lies behind the last of them."""


def units_of(graph: ir.Graph) -> list[Unit]:
    """Part a graph, in an order in which each part comes behind those that it is computed from."""
    levels = _levels(graph)
    parts: dict[Level, list[ir.Node]] = {}
    for node in levels:
        if not _is_landmark(node):
            parts.setdefault(levels[node], []).append(node)
    marks = [node for node in levels if _is_landmark(node)]
    units = [unit for mark in marks for unit in _around(mark, marks, levels, parts)]
    left = [Unit(before=nodes) for nodes in parts.values()]
    return _ordered([unit for unit in (*units, *left) if unit.nodes], list(levels))


def _is_landmark(node: ir.Node) -> bool:
    return node.domain == contract.DOMAIN


def producers(node: ir.Node) -> list[ir.Node]:
    """List the nodes that a node reads."""
    made = (value.producer() for value in node.inputs if value is not None)
    return [maker for maker in made if maker is not None]


def readers(node: ir.Node) -> list[ir.Node]:
    """List the nodes that read a node."""
    return [use.node for value in node.outputs for use in value.uses()]


def reads_input(node: ir.Node) -> bool:
    """Tell whether a node reads an input of the graph."""
    return any(value is not None and value.is_graph_input() for value in node.inputs)


def _levels(graph: ir.Graph) -> dict[ir.Node, Level]:
    """Give the level of every node that an input reaches, in the graph's order."""
    levels: dict[ir.Node, Level] = {}
    bits: dict[ir.Node, int] = {}
    for node in graph:
        behind = [(levels[p], p) for p in producers(node) if p in levels]
        if not behind and not reads_input(node):
            continue
        seen, opened = 0, True
        for (landmarks, _), maker in behind:
            seen |= landmarks | bits.get(maker, 0)
        if seen:
            nearest = [p for (landmarks, _), p in behind if landmarks | bits.get(p, 0) == seen]
            opened = any(p not in bits and levels[p][1] for p in nearest)
        levels[node] = seen, opened or node.op_type in OPENERS
        if _is_landmark(node):
            bits[node] = 1 << len(bits)
    return levels


def _around(
    mark: ir.Node,
    marks: Sequence[ir.Node],
    levels: Mapping[ir.Node, Level],
    parts: dict[Level, list[ir.Node]],
) -> list[Unit]:
    """Take what belongs to a landmark out of `parts`, behind the landmarks before it."""
    seen = levels[mark][0]
    after = _behind(mark, seen | 1 << marks.index(mark), levels, parts)
    body = parts.pop((seen, True), [])
    main = _leading_to({mark}, body)
    outside = {reader for node in main for reader in readers(node)} - {mark, *body}
    if any(map(_is_landmark, outside)):  # it leads to others as well
        parts[seen, True] = body
        return [Unit(landmark=mark, after=after)]
    skip = _leading_to(set(after), body)
    elsewhere = _leading_to({r for n in body for r in readers(n)} - {mark, *after, *body}, body)
    trunk = main & (skip | elsewhere)
    left = [node for node in body if node not in main | skip]
    if left:
        parts[seen, True] = left
    return [
        Unit(before=[n for n in body if n in trunk]),
        Unit(
            before=[n for n in body if n in main - trunk],
            beside=[n for n in body if n in skip - main],
            landmark=mark,
            after=after,
        ),
    ]


def _behind(
    mark: ir.Node, seen: int, levels: Mapping[ir.Node, Level], parts: dict[Level, list[ir.Node]]
) -> list[ir.Node]:
    """Take what follows a landmark out of `parts`: to the next layer, or to where a skip joins."""
    after = parts.pop((seen, False), [])
    if any(_joins(node, mark, levels) for node in after):
        return after
    body = parts.get((seen, True), [])
    joined = next((i for i, node in enumerate(body) if _joins(node, mark, levels)), None)
    if joined is None:
        return after
    rest = itertools.dropwhile(lambda node: node.op_type not in OPENERS, body[joined + 1 :])
    parts[seen, True] = list(rest)
    taken = len(body) - len(parts[seen, True])
    return [*after, *body[:taken]]


def _joins(node: ir.Node, mark: ir.Node, levels: Mapping[ir.Node, Level]) -> bool:
    """Tell whether a node reads what was computed before a landmark, beside what comes from it."""
    own = levels[node][0]
    from_before = (p for p in producers(node) if p in levels and levels[p][0] != own)
    return any(p is not mark for p in from_before) or reads_input(node)


def _leading_to(ends: set[ir.Node], body: Sequence[ir.Node]) -> set[ir.Node]:
    """List what of `body`, which is in the graph's order, some end is computed from."""
    found: set[ir.Node] = set()
    for node in reversed(body):
        if any(reader in ends or reader in found for reader in readers(node)):
            found.add(node)
    return found


def _ordered(units: list[Unit], nodes: Sequence[ir.Node]) -> list[Unit]:
    """Put parts in order: of those that may come next, the one that the graph has first."""
    place = {node: number for number, node in enumerate(nodes)}
    owner = {node: unit for unit in units for node in unit.nodes}
    waiting = {
        id(unit): {id(owner[p]) for n in unit.nodes for p in producers(n) if p in owner}
        - {id(unit)}
        for unit in units
    }
    left = sorted(units, key=lambda unit: max(place[node] for node in unit.nodes))
    done: list[Unit] = []
    while left:
        chosen = next(unit for unit in left if not waiting[id(unit)])
        left.remove(chosen)
        done.append(chosen)
        for others in waiting.values():
            others.discard(id(chosen))
    return done
