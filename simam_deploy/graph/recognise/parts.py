"""A gate in two factors, one of which x has met already: x * 0.5 * (1 + tanh(energy / 2)).

Also x * exp(energy) / (1 + exp(energy)), and a number that stands last: x * (1 + tanh(...)) * 0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import onnx_ir as ir

from simam_deploy.graph.recognise import gates
from simam_deploy.graph.recognise.forms import Gate
from simam_deploy.graph.recognise.interval import Interval
from simam_deploy.graph.recognise.scene import Scene


class _Factor(NamedTuple):
    value: ir.Value
    divides: bool = False


def scaled_in_parts(node: ir.Node, scene: Scene) -> Iterator[tuple[Gate, ir.Value]]:
    """Yield the sigmoid that two of the three factors of `node` make, and what it scales.

    Args:
        node: A product or quotient; where an operand is one too, it has three factors.
        scene: What has been read so far.
    """
    for product, other in _ways(_factors(node, scene)):
        inner = product.value.producer()
        if inner is None or product.divides:
            continue
        for x, part in _ways(_factors(inner, scene)):
            gate = None if x.divides else _multiplied(part, other, node, scene)
            if gate is not None and gate.is_whole:
                yield replace(gate, inner=(*gate.inner, inner)), x.value
                return


def _factors(node: ir.Node, scene: Scene) -> tuple[_Factor, ...]:
    a, b = node.inputs if len(node.inputs) == 2 else (None, None)
    if node.op_type not in ("Mul", "Div") or a is None or b is None:
        return ()
    return (_Factor(a), _Factor(b, node.op_type == "Div")) if scene.facts.is_valid(node) else ()


def _ways(factors: tuple[_Factor, ...]) -> Iterator[tuple[_Factor, ...]]:
    """Yield two factors in either order; nothing without them."""
    yield from (factors, factors[::-1]) if factors else ()


def _multiplied(a: _Factor, b: _Factor, node: ir.Node, scene: Scene) -> Gate | None:
    """Return the gate that both make together, which `node` computes."""
    for one, other in ((a, b), (b, a)):
        gate, second = scene.forms.get(one.value), scene.forms.get(other.value)
        if not isinstance(gate, Gate) or one.divides:
            continue
        if isinstance(second, Gate):
            return gates.quotient(gate, second, node) if other.divides else None
        number = _number(other, scene)
        return None if number is None else gates.scaled(gate, number, node)
    return None


def _number(factor: _Factor, scene: Scene) -> Interval | None:
    number = scene.interval(factor.value)
    if number is None or not factor.divides:
        return number
    return None if number.low <= 0 <= number.high else number.power(Fraction(-1))
