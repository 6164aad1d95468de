"""Make an int8 model of a float32 .onnx file.

It works on the finished file, behind the lowering: that file was validated, ONNX Runtime runs it,
and what is quantised (`placement`) does not depend on how SimAM is written. Nothing that folds
constants may run over the result: it would turn the weights back into floats.

Not by ONNX Runtime's own static quantiser: it puts pairs on both summands of an Add or on none,
and TensorRT fuses a convolution with the Add behind it only where one summand has a pair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.core.progress import Progress
from simam_deploy.errors import InputError, UsageError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.types import HALVES, is_quantised
from simam_deploy.precision.int8.calibrate import calibrate
from simam_deploy.precision.int8.histogram import Histogram
from simam_deploy.precision.int8.pairs import insert_pairs
from simam_deploy.precision.int8.placement import Placement, name_of, place
from simam_deploy.source.samples import Dataset

CHANNELS_SINCE = 13
"""The opset from which a DequantizeLinear has a scale for each channel."""
METHOD = "range of least squared error"


@dataclass(frozen=True)
class Quantised:
    """An int8 model and how it came about.

    Attributes:
        model: To be written with `graph.write.write_model` and nothing run over it.
        layers: How many convolutions compute in int8.
        kept: The layers that stay float32, each with the reason.
        notes: What a user should know, a line each.
        calibration: JSON-able facts for the manifest, the ranges by tensor among them.
    """

    model: ir.Model
    layers: int
    kept: tuple[str, ...]
    notes: tuple[str, ...]
    calibration: dict[str, Any]


def quantise(file: Path, dataset: Dataset, *, progress: Progress = lambda step: None) -> Quantised:
    """Calibrate a float32 model and write Q/DQ pairs into it.

    Samples come and go in batches: a resnet50 or a WeSpeaker network takes 170 MB meanwhile.

    Args:
        file: A float32 .onnx file with one input, opset 13 or newer, SimAM in any lowering.
        dataset: Samples as the network will see them; some `CALIBRATION_SAMPLES` are
            enough.
        progress: Told each step.

    Returns:
        The int8 model; the file stays as it is.

    Raises:
        InputError: The model is quantised or half already, has several inputs or no layer to
            quantise; or the samples do not fit it, are constant, or make it overflow.
        UsageError: The opset is too old.
    """
    model = read_model(file)
    _check(model, file.name)
    placement = place(model)
    if not placement.layers:
        reasons = "; ".join(placement.kept[:3]) or "there are none"
        raise InputError(f"{file.name} has no layer that could be int8: {reasons}")
    names = tuple(tensor.name or "" for tensor in placement.tensors)
    histograms = calibrate(file, names, dataset, progress)
    progress("writing Q/DQ pairs")
    placement = _without_silent(placement, histograms)
    ranges = {t.name or "": histograms[t.name or ""].best_range() for t in placement.tensors}
    insert_pairs(model.graph, placement, ranges)
    RemoveUnusedNodesPass()(model)
    facts = {"method": METHOD, "data": dataset.name, "samples": len(dataset), "ranges": ranges}
    return Quantised(model, len(placement.layers), placement.kept, dataset.notes, facts)


def _check(model: ir.Model, name: str) -> None:
    for node in model.graph:
        if is_quantised(node):
            raise InputError(
                f"{name} is quantised already ({node.op_type} {name_of(node)}): start from its "
                "float32 original"
            )
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        if value.dtype in HALVES:
            raise InputError(
                f"{name} is {value.dtype.name.lower()} at {value.name}: start from its float32 "
                "original"
            )
    given = [v for v in model.graph.inputs if not v.is_initializer()]
    if len(given) != 1:
        raise InputError(f"{name} has {len(given)} inputs: calibration knows one")
    if model.opset_imports[""] < CHANNELS_SINCE:
        raise UsageError(
            f"{name} has opset {model.opset_imports['']}: int8 wants {CHANNELS_SINCE} or newer",
            options=("opset",),
        )


def _without_silent(placement: Placement, histograms: dict[str, Histogram]) -> Placement:
    """Leave float32 what reads a tensor that was zero on every sample: it has no range."""
    reads = tuple(r for r in placement.reads if histograms[_tensor(*r)].limit)
    silent = {node for node, _ in placement.reads} - {node for node, _ in reads}
    kept = (f"{name_of(n)} (its input was zero on every sample)" for n in silent)
    layers = tuple(layer for layer in placement.layers if layer not in silent)
    return replace(placement, layers=layers, kept=(*placement.kept, *sorted(kept)), reads=reads)


def _tensor(node: ir.Node, index: int) -> str:
    value = node.inputs[index]
    return (value.name if value is not None else None) or ""
