"""The rules of `Gate`: a sigmoid is one however it is written.

sigmoid(e)  =  1 / (1 + exp(-e))  =  exp(e) / (1 + exp(e))  =  1 - sigmoid(-e)
            =  (1 + tanh(e / 2)) / 2  =  exp(-softplus(-e))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from simam_deploy.graph.recognise import terms
from simam_deploy.graph.recognise.forms import Axes, Flawed, Gate, Term
from simam_deploy.graph.recognise.interval import ZERO, Interval

_MINUS_ONE, _TWO = Interval.exactly(-1.0), Interval.exactly(2.0)


def activated(node: ir.Node, energy: Term | Flawed) -> Gate:
    """Return what `node`, an activation, makes of `energy`."""
    return Gate(energy.root, energy, node.op_type.lower(), node)


def activated_again(node: ir.Node, gate: Gate) -> Gate | None:
    """Return an activation of an activation, such as the sigmoid of a clamped energy."""
    turned = gate.gain.contains(-1.0) and gate.offset == ZERO
    if node.op_type == "Exp" and gate.activation == "softplus" and turned:
        return _sigmoid(gate, _scaled(gate.energy, _MINUS_ONE), node)
    if not gate.is_whole or gate.activation in ("sigmoid", "exp"):
        return None
    reason = f"the energy goes through {gate.activation} before {node.op_type.lower()}"
    return _sigmoid(gate, Flawed(gate.root, reason), node, node.op_type.lower())


def scaled(gate: Gate, factor: Interval, node: ir.Node) -> Gate | None:
    """Return `gate` * `factor`, which `node` computes."""
    return _settled(replace(gate, gain=gate.gain * factor, offset=gate.offset * factor), node)


def shifted(gate: Gate, summand: Interval, node: ir.Node) -> Gate | None:
    """Return `gate` + `summand`, which `node` computes."""
    return _settled(replace(gate, offset=gate.offset + summand), node)


def reciprocal(gate: Gate, node: ir.Node) -> Gate | None:
    """Return 1 / `gate`, which `node` computes: a sigmoid if that is 1 + exp(energy)."""
    if not _is_one_and_exp(gate):
        return None
    return _sigmoid(gate, _scaled(gate.energy, _MINUS_ONE), node)


def quotient(a: Gate, b: Gate, node: ir.Node) -> Gate | None:
    """Return `a` / `b`, which `node` computes: a sigmoid if it is exp(e) / (1 + exp(e))."""
    alike = a.activation == "exp" and a.is_whole and a.energy == b.energy
    return _sigmoid(b, b.energy, node) if alike and _is_one_and_exp(b) else None


def of_another_map(gate: Gate, root: ir.Value, groups: Sequence[Axes]) -> Gate:
    """Return `gate` as one of `root`: each dimension of its own map merges a group of those."""

    def moved(axes: Axes) -> Axes:
        return Axes().union(*(groups[axis] for axis in axes))

    energy = replace(gate.energy, root=root)
    if isinstance(energy, Term):
        plane = energy.plane and replace(energy.plane, axes=moved(energy.plane.axes))
        energy = replace(energy, mean_axes=moved(energy.mean_axes), plane=plane)
    return replace(gate, root=root, energy=energy)


def _is_one_and_exp(gate: Gate) -> bool:
    whole = gate.gain.contains(1.0) and gate.offset.contains(1.0)
    return gate.activation == "exp" and whole


def _settled(gate: Gate, node: ir.Node) -> Gate | None:
    """Return `gate` as the sigmoid that it is; None for a sigmoid scaled in another way."""
    half = gate.gain.contains(0.5) and gate.offset.contains(0.5)
    if gate.activation == "tanh" and half:
        return _sigmoid(gate, _scaled(gate.energy, _TWO), node)
    if gate.activation != "sigmoid":
        return gate
    if gate.gain.contains(-1.0) and gate.offset.contains(1.0):
        return _sigmoid(gate, _scaled(gate.energy, _MINUS_ONE), node)
    return gate if gate.gain.contains(-1.0) and gate.offset.contains(0.0) else None


def _sigmoid(gate: Gate, energy: Term | Flawed, node: ir.Node, activation: str = "sigmoid") -> Gate:
    return Gate(gate.root, energy, activation, node, inner=(*gate.inner, gate.node))


def _scaled(energy: Term | Flawed, factor: Interval) -> Term | Flawed:
    return terms.scale(energy, factor) if isinstance(energy, Term) else energy
