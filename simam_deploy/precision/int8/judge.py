"""Is an int8 graph its float32 original, but for what eight bits must cost in this network?

Two questions, each with a bound that follows from the float32 graph: `tensors` asks of every
tensor, `outputs` of the whole. Both want samples as the network will see them: on others,
calibrated ranges are rightly wrong. Where there are none, the ranges that the manifest states
stand in for the best.

What this cannot tell is SimAM's arithmetic. It is float32 in the candidate too: hold its gates
against the formula with `verify.gates.check_gates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnx_ir as ir

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.validation import ValidationReport
from simam_deploy.errors import InputError
from simam_deploy.graph.file.read import read_model
from simam_deploy.precision.int8.calibrate import open_taps
from simam_deploy.precision.int8.outputs import check_outputs
from simam_deploy.precision.int8.placement import Placement, name_of, place
from simam_deploy.precision.int8.tensors import best_range, check_tensors

RULE = (
    "int8: twice what noise of half a step on every quantised tensor costs, which is told from the "
    "float32 graph"
)


def judge(
    reference: Path,
    candidate: Path,
    feeds: Feeds,
    *,
    ranges: Mapping[str, float] | None = None,
    kept: tuple[str, ...] = (),
) -> ValidationReport:
    """Hold an int8 file against the float32 file that it was made of.

    Args:
        reference: The float32 .onnx, of the same lowering.
        candidate: The int8 .onnx.
        feeds: One array; samples as the network will see them, of which a dozen do, unless
            `ranges` are given.
        ranges: What the manifest's calibration states, by tensor: the scales must then be these,
            whatever the feeds. By default the scales are held against the best on the feeds.
        kept: What `Quantised.kept` says, for layers kept beyond the placement's own rules.

    Returns:
        The verdict: the outputs as results, the tensors as layers.

    Raises:
        InputError: A file cannot be read or run, or there is nothing quantised in the candidate.
    """
    original, quantised = read_model(reference), read_model(candidate)
    if not any(node.op_type == "QuantizeLinear" for node in quantised.graph):
        raise InputError(f"{candidate.name} has no Q/DQ pair: it is not quantised")
    chosen = partial(_placement, kept=kept)
    placement = chosen(original)
    names = tuple(tensor.name or "" for tensor in placement.tensors)
    inner = _inner(reference, names, feeds) if names else {}
    best = {name: best_range(values) for name, values in inner.items()}
    tensors = check_tensors(original, quantised, placement, inner, ranges)
    del inner  # the activations of all samples
    results = check_outputs(
        partial(read_model, reference),
        quantised,
        chosen,
        best if ranges is None else ranges,
        feeds,
    )
    return ValidationReport(reference.name, candidate.name, "int8", RULE, results, layers=tensors)


def _inner(file: Path, names: tuple[str, ...], feeds: Feeds) -> Feeds:
    with open_taps(file, names) as taps:
        return dict(zip(names, taps.read(feeds), strict=True))


def _placement(model: ir.Model, kept: tuple[str, ...]) -> Placement:
    """Place anew, and leave out the layers that calibration left out."""
    names = {line.partition(" (")[0] for line in kept}
    placement = place(model)
    return replace(
        placement,
        layers=tuple(n for n in placement.layers if name_of(n) not in names),
        reads=tuple(r for r in placement.reads if name_of(r[0]) not in names),
    )
