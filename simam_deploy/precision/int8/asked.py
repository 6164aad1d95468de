"""Which layers a user wants in eight bits: all that can be, those that pay, or those named.

A quantised layer can cost more than it saves: TensorRT-RTX puts a kernel that requantises behind
each quantised convolution that feeds another. `paying` knows those that cost no kernel; whoever has
measured their network names its layers.
"""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatchcase

import onnx_ir as ir

from simam_deploy.errors import UsageError
from simam_deploy.precision.int8.formats import INT8, Format
from simam_deploy.precision.int8.paying import paying
from simam_deploy.precision.int8.placement import Choice, name_of, place

ALL = "all"
"""Every layer that the rules of `placement` give to int8."""
PAYS = "pays"
"""Those that cost TensorRT-RTX no launch, by the rules of `paying`."""
UNASKED = "not asked for"
UNPAID = "costs a launch"
REASONS = (UNASKED, UNPAID)
"""Why a layer that could be int8 is not wanted to be."""


def choose(model: ir.Model, asked: str, numbers: Format = INT8) -> Choice:
    """Say what of a network is wanted in eight bits.

    Args:
        model: Float32.
        asked: `ALL`, `PAYS`, or patterns with commas between them, of names of layers or of their
            weights; `*`, `?` and `[...]` as in file names, a capital letter for itself alone.
        numbers: What is quantised to.

    Returns:
        What `placement.place` takes.

    Raises:
        UsageError: A pattern names no layer that could be int8, or none pays.
    """
    if asked == ALL:
        return Choice(numbers=numbers)
    if asked == PAYS:
        return _paying(model, numbers)
    return Choice(_unasked(model, asked), numbers=numbers)


def _paying(model: ir.Model, numbers: Format) -> Choice:
    """Leave what does not pay, and every Add's own reads: a quantisation of a sum is a launch."""
    layers = place(model).layers
    found = paying(model.graph, layers, numbers.folds_add)
    if not found:
        raise UsageError(
            f"none of the {len(layers)} layers that could be {numbers.name} reads what a SimAM's "
            "kernel writes: each would cost a launch",
            options=("quantize",),
        )
    unpaid = Choice({name_of(layer): UNPAID for layer in layers if layer not in found})
    adds = {name_of(n): UNPAID for n, _ in place(model, unpaid).reads if n not in found}
    by_tensor = frozenset(name_of(layer) for layer, alone in found.items() if alone)
    return Choice({**unpaid.left, **adds}, by_tensor, numbers)


def _unasked(model: ir.Model, asked: str) -> dict[str, str]:
    """Give the reason for every layer that could be int8 and is not named."""
    names = {name_of(layer): _names(layer) for layer in place(model).layers}
    wanted: set[str] = set()
    for pattern in asked.split(","):
        found = {layer for layer, own in names.items() if _matches(own, pattern.strip())}
        if not found:
            raise UsageError(_none(pattern.strip(), names), options=("quantize",))
        wanted |= found
    return {layer: UNASKED for layer in names if layer not in wanted}


def _names(layer: ir.Node) -> tuple[str, ...]:
    weight = layer.inputs[1]
    return name_of(layer), (weight.name or "") if weight is not None else ""


def _matches(names: tuple[str, ...], pattern: str) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for name in names)


def _none(pattern: str, names: dict[str, tuple[str, ...]]) -> str:
    """Say that a pattern names nothing, and what there is of about its name."""
    known = [name for own in names.values() for name in own if name]
    near = get_close_matches(pattern, known, n=3, cutoff=0.5) or known[:3]
    said = f"; there is {', '.join(map(repr, near))}" if near else "; there is none"
    return f"no layer that could be int8 has a name or a weight like {pattern!r}{said}"
