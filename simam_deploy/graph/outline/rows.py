"""An outline's rows, and which of them feed each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from simam_deploy.graph.outline.units import Unit, producers, reads_input, units_of
from simam_deploy.graph.outline.words import MOVES, describe
from simam_deploy.graph.prepare import with_sites
from simam_deploy.graph.sites import dims
from simam_deploy.op import contract

SIMAM, DETECTOR = "SimAM", "detector"
Edge = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """A block, or several of the same kind one behind the other.

    Attributes:
        before: What it computes first, in words.
        landmark: "SimAM", "detector" for one of its operators, "" where there is neither.
        names: Of its sites, in order; of a detector's operator its type.
        beside: What its skip computes.
        after: What follows the site.
        skips: Whether something goes past the site.
        shape: Of what it gives, without the batch.
        count: How many blocks.
    """

    before: tuple[str, ...]
    landmark: str
    names: tuple[str, ...]
    beside: tuple[str, ...]
    after: tuple[str, ...]
    skips: bool
    shape: tuple[int | str, ...]
    count: int = 1

    def is_like(self, other: Row) -> bool:
        """Tell whether two blocks are of one kind, SimAM in them."""
        return bool(self.landmark == SIMAM) and replace(self, names=(), count=1) == replace(
            other, names=(), count=1
        )


@dataclass(frozen=True)
class Outline:
    """Rows in order, each behind those that feed it, and which feed which."""

    rows: tuple[Row, ...]
    edges: tuple[Edge, ...]


def outline_of(model: ir.Model) -> Outline:
    """Outline anybody's graph.

    Args:
        model: It is used up.
    """
    graph = with_sites(model)[0].graph
    units = units_of(graph)
    owner = {node: number for number, unit in enumerate(units) for node in unit.nodes}
    edges = {
        (owner[p], number)
        for number, unit in enumerate(units)
        for node in unit.nodes
        for p in producers(node)
        if owner.get(p, number) != number and _carries_a_map(p)
    }
    return _merged([_row(unit, owner) for unit in units], edges)


def _carries_a_map(node: ir.Node) -> bool:
    """Tell what is no size or index: edges of those would hide the others."""
    value = node.outputs[0]
    whole = value.dtype is not None and not value.dtype.is_floating_point()
    return not (whole and (value.shape is None or len(value.shape) < 2))


def _row(unit: Unit, owner: Mapping[ir.Node, int]) -> Row:
    mark = unit.landmark
    is_site = mark is not None and mark.op_type in contract.INPUTS
    names = () if mark is None else ((mark.name or "") if is_site else mark.op_type,)
    return Row(
        before=describe(unit.before),
        landmark="" if mark is None else SIMAM if is_site else DETECTOR,
        names=names,
        beside=describe(unit.beside),
        after=describe(unit.after),
        skips=is_site and (bool(unit.beside) or _has_skip(unit, owner)),
        shape=_given(unit),
    )


def _has_skip(unit: Unit, owner: Mapping[ir.Node, int]) -> bool:
    """Tell whether what follows the landmark reads more than what that gives."""
    mark = unit.landmark
    if mark is None:
        return False
    inside = {mark, *unit.after}
    reads = {p for node in unit.after for p in producers(node) if p in owner}
    past = not reads <= inside or any(map(reads_input, unit.after))
    return past or mark.op_type == contract.RESIDUAL_OP_TYPE


def _given(unit: Unit) -> tuple[int | str, ...]:
    """Give the shape of the last map that a part computes, without the batch."""
    for node in reversed(unit.nodes):
        shape = dims(node.outputs[0])
        if len(shape) > 1 and node.op_type not in MOVES:
            return shape[1:]
    return ()


def _merged(rows: Sequence[Row], edges: set[Edge]) -> Outline:
    """Make one row of blocks of one kind, where each feeds the next and nothing else."""
    place: list[int] = []
    merged: list[Row] = []
    for number, row in enumerate(rows):
        if number and merged[-1].is_like(row) and _is_chain(number, edges):
            last = merged[-1]
            merged[-1] = replace(last, names=(*last.names, *row.names), count=last.count + 1)
        else:
            merged.append(row)
        place.append(len(merged) - 1)
    kept = sorted({(place[a], place[b]) for a, b in edges if place[a] != place[b]})
    return Outline(tuple(merged), tuple(kept))


def _is_chain(number: int, edges: set[Edge]) -> bool:
    return {a for a, b in edges if b == number} == {number - 1} and {
        b for a, b in edges if a == number - 1
    } == {number}
