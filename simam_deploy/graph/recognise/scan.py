"""One reading of a whole graph: the places where SimAM may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from simam_deploy.graph.recognise import gates
from simam_deploy.graph.recognise.facts import Facts
from simam_deploy.graph.recognise.forms import Gate, Map
from simam_deploy.graph.recognise.operators import read
from simam_deploy.graph.recognise.parts import scaled_in_parts
from simam_deploy.graph.recognise.scene import Scene
from simam_deploy.op import contract

_DEEPEST = 16
"""Levels of If, Loop and Scan; below them nothing is looked for."""


@dataclass(frozen=True)
class Candidate:
    """A place where a gate was found, or a node that is SimAM already.

    Attributes:
        node: The last node of the place: the product, or the activation where there is none.
        root: The feature map.
        gate: As read, None for a node that is SimAM already.
        x: The factor that the gate scales, None where it scales nothing.
        foreign: `x` is not the feature map that the gate was computed from.
        within: The operator whose body it is in, None in the main graph.
    """

    node: ir.Node
    root: ir.Value
    gate: Gate | None
    x: ir.Value | None
    foreign: bool
    within: str | None


def scan(graph: ir.Graph, scene: Scene) -> list[Candidate]:
    """Read all of `graph` into `scene` and return the candidates in the order of the graph."""
    found = list(_walk(graph, scene, None, 0))
    parts = {node for candidate in found for node in _parts(candidate)}
    return [candidate for candidate in found if candidate.node not in parts]


def _parts(candidate: Candidate) -> Iterator[ir.Node]:
    """Yield the nodes of a candidate that would be candidates by themselves."""
    if candidate.gate is not None:
        yield from candidate.gate.inner
        if candidate.gate.node is not candidate.node:
            yield candidate.gate.node


def _walk(graph: ir.Graph, scene: Scene, within: str | None, depth: int) -> Iterator[Candidate]:
    for node in graph:
        bodies = _bodies(node) if depth < _DEEPEST else {}
        for body in bodies.values():
            yield from _walk(body, scene, node.op_type, depth + 1)
        scene.facts.observe(node)
        if node.op_type == "If" and node.domain == "":
            _unite(node, bodies, scene.facts)
        form = read(node, scene)
        if form is not None:
            scene.forms[node.outputs[0]] = form
        yield from _candidates(node, scene, within)


def _candidates(node: ir.Node, scene: Scene, within: str | None) -> Iterator[Candidate]:
    """Yield what `node` is the last node of: a gate, or a product with a gate."""
    form = scene.forms.get(node.outputs[0]) if node.outputs else None
    if isinstance(form, Gate) and form.node is node:
        yield Candidate(node, form.root, form, None, False, within)
    elif node.domain == contract.DOMAIN and node.op_type in contract.INPUTS:
        if node.inputs and (x := node.inputs[0]) is not None:
            yield Candidate(node, x, None, x, False, within)
    elif form is None and scene.facts.is_valid(node):
        for gate, x in (*scaled_in_parts(node, scene), *_scaled(node, scene)):
            foreign = x is not gate.root and scene.form(x) != Map(gate.root)
            yield Candidate(node, gate.root, gate, x, foreign, within)
            return


def _scaled(node: ir.Node, scene: Scene) -> Iterator[tuple[Gate, ir.Value]]:
    """Yield each gate and what it scales, by a product or by x / (1 + exp(-energy))."""
    if node.op_type not in ("Mul", "Div") or len(node.inputs) != 2:
        return
    pairs = (node.inputs, node.inputs[::-1]) if node.op_type == "Mul" else (node.inputs[::-1],)
    for gate_value, x in pairs:
        gate = None if gate_value is None else scene.forms.get(gate_value)
        if not isinstance(gate, Gate) or x is None or scene.interval(x) is not None:
            continue
        whole = gate if node.op_type == "Mul" else gates.reciprocal(gate, node)
        if whole is not None and whole.is_whole:
            yield whole, x


def _bodies(node: ir.Node) -> dict[str, ir.Graph]:
    attributes = node.attributes.values()
    return {a.name: a.as_graph() for a in attributes if a.type == ir.AttributeType.GRAPH}


def _unite(node: ir.Node, bodies: dict[str, ir.Graph], facts: Facts) -> None:
    """Learn the outputs of an If from the branch that it takes, or from both."""
    branches = [bodies[name] for name in ("then_branch", "else_branch") if name in bodies]
    condition = facts.constant(node.inputs[0]) if node.inputs and node.inputs[0] else None
    if condition is not None:
        branches = branches[:1] if condition.array.all() else branches[1:]
    for position, value in enumerate(node.outputs):
        outcomes = [branch.outputs[position : position + 1] for branch in branches]
        facts.unite(value, [outcome for outputs in outcomes for outcome in outputs])
