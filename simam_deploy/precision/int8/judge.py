"""Is an int8 or fp8 graph its float32 original, but for what eight bits must cost in this network?

Two questions, each with a bound that follows from the float32 graph: `tensors` asks of every
tensor, `outputs` of the whole. Both want samples as the network will see them: on others,
calibrated ranges are rightly wrong. Where there are few, the ranges that the manifest states stand
in for the best. Samples come and go run by run, so that any batch can be judged on all of them.

What this cannot tell is SimAM's arithmetic. It is float32 in the candidate too: hold its gates
against the formula with `verify.gates.check_gates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from simam_deploy.core.validation import ValidationReport
from simam_deploy.errors import InputError
from simam_deploy.graph.file.read import read_model
from simam_deploy.precision.int8.calibrate import calibrate
from simam_deploy.precision.int8.outputs import Expected
from simam_deploy.precision.int8.placement import Choice, place
from simam_deploy.precision.int8.spread import ENOUGH
from simam_deploy.precision.int8.tensors import check_tensors
from simam_deploy.source.samples import Dataset

RULE = (
    "{0}: twice what rounding every quantised tensor to {0}'s steps costs, as the float32 graph "
    "tells; slices of an output too, and more where chance may make it more"
)


def judge(
    reference: Path,
    candidate: Path,
    dataset: Dataset,
    *,
    ranges: Mapping[str, float] | None = None,
    choice: Choice | None = None,
) -> ValidationReport:
    """Hold an int8 file against the float32 file that it was made of.

    Args:
        reference: The float32 .onnx, of the same lowering.
        candidate: The int8 .onnx.
        dataset: Samples as the network will see them.
        ranges: What the manifest's calibration states, by tensor: the scales must be these. What
            they lose on the samples is then judged only where those are `ENOUGH`.
        choice: What `Quantised.choice` says.

    Returns:
        The verdict: the outputs as results, the tensors as layers.

    Raises:
        InputError: A file cannot be read or run, or there is nothing quantised in the candidate.
    """
    original, quantised = read_model(reference), read_model(candidate)
    if not any(node.op_type == "QuantizeLinear" for node in quantised.graph):
        raise InputError(f"{candidate.name} has no Q/DQ pair: it is not quantised")
    chosen = partial(place, choice=choice)
    placement = chosen(original)
    names = tuple(tensor.name or "" for tensor in placement.tensors)
    spreads, runs = calibrate(reference, names, dataset, numbers=placement.numbers)
    believed = ranges is not None and runs.samples < ENOUGH
    tensors = check_tensors(original, quantised, placement, None if believed else spreads, ranges)
    best = {name: spread.best_range() for name, spread in spreads.items()}
    expected = ranges if believed and ranges is not None else best
    with Expected(partial(read_model, reference), chosen, expected, runs) as outputs:
        results = outputs.judge(quantised)
    name = placement.numbers.name
    rule = RULE.format(name)
    return ValidationReport(reference.name, candidate.name, name, rule, results, layers=tensors)
