"""Make an int8 or fp8 model of a float32 .onnx file.

It works on the finished file, behind the lowering: that file was validated, ONNX Runtime runs it,
and what is quantised (`placement`) does not depend on how SimAM is written. Nothing that folds
constants may run over the result: it would turn the weights back into floats.

Not by ONNX Runtime's own static quantiser: it puts pairs on both summands of an Add or on none,
and TensorRT fuses a convolution with the Add behind it only where one summand has a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.core.progress import Progress
from simam_deploy.errors import InputError, UsageError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.types import HALVES, LEAST_OPSET, is_quantised
from simam_deploy.precision.int8.calibrate import calibrate
from simam_deploy.precision.int8.formats import INT8, Format
from simam_deploy.precision.int8.pairs import insert_pairs
from simam_deploy.precision.int8.placement import Choice, Placement, name_of, place, readers
from simam_deploy.precision.int8.spread import ENOUGH, Spread
from simam_deploy.source.samples import Dataset

SINCE = {"int8": 13, "fp8": LEAST_OPSET["fp8"]}
"""The opset from which a DequantizeLinear has a scale for each channel, and the type."""
METHOD = "range of least squared error"


@dataclass(frozen=True)
class Quantised:
    """A quantised model and how it came about.

    Attributes:
        model: To be written with `graph.write.write_model` and nothing run over it.
        names: The convolutions that compute in eight bits.
        kept: The layers that stay float32, each with the reason.
        choice: Which of them, and of Adds, stay so because somebody or the samples say so, and
            whose weights have one scale for all.
        notes: What a user should know, a line each.
        calibration: JSON-able facts for the manifest, the ranges by tensor among them.
    """

    model: ir.Model
    names: tuple[str, ...]
    kept: tuple[str, ...]
    choice: Choice
    notes: tuple[str, ...]
    calibration: dict[str, Any]

    @property
    def left(self) -> Mapping[str, str]:
        """What stays float32 because of the choice: reasons by name."""
        return self.choice.left

    @property
    def layers(self) -> int:
        """How many convolutions compute in eight bits."""
        return len(self.names)


def quantise(
    file: Path,
    dataset: Dataset,
    *,
    choice: Choice | None = None,
    progress: Progress = lambda step: None,
) -> Quantised:
    """Calibrate a float32 model and write Q/DQ pairs into it.

    Samples come and go in batches: a resnet50 or a WeSpeaker network takes 170 MB meanwhile.

    Args:
        file: A float32 .onnx file, opset 13 or newer, SimAM in any lowering.
        dataset: Samples as the network will see them; some `CALIBRATION_SAMPLES` are
            enough.
        choice: What is asked for beside the rules of `placement`, or against them.
        progress: Told each step.

    Returns:
        The quantised model; the file stays as it is.

    Raises:
        InputError: The model is quantised or half already, or has no layer to quantise; or the
            samples do not fit it, are constant, or make it overflow.
        UsageError: The opset is too old, or the samples give other inputs than the model takes.
    """
    choice = choice or Choice()
    measured = measure(file, dataset, progress, choice.numbers)
    progress("writing Q/DQ pairs")
    return measured.quantised(choice)


@dataclass(frozen=True)
class Measured:
    """A float32 file and what its samples said of it: to be quantised as often as one likes."""

    file: Path
    spreads: Mapping[str, Spread]
    data: str
    samples: int
    notes: tuple[str, ...]

    def quantised(self, choice: Choice) -> Quantised:
        """Write Q/DQ pairs into a copy as is chosen, but for what cannot be settled.

        Raises:
            InputError: There is no layer to quantise.
        """
        model = read_model(self.file)
        choice = choice.leaving(self._unsettled(place(model)))
        placement = place(model, choice)
        if not placement.layers:
            raise InputError(_nothing(self.file.name, [*choice.left.values()] or placement.kept))
        ranges = {name: self.spreads[name].best_range() for name in _names(placement)}
        names = tuple(name_of(layer) for layer in placement.layers)
        insert_pairs(model.graph, placement, ranges)
        RemoveUnusedNodesPass()(model)
        facts = {
            "method": METHOD,
            "data": self.data,
            "samples": self.samples,
            "layers": len(names),
            "left_in_float32": choice.left,
            "weights_by_tensor": sorted(name_of(layer) for layer in placement.by_tensor),
            "ranges": ranges,
        }
        return Quantised(model, names, placement.kept, choice, self.notes, facts)

    def leaving(self, losses: Mapping[str, float]) -> dict[str, str]:
        """Name what reads tensors whose scale loses more than it may, each with the reason."""
        placement = place(read_model(self.file))
        return {
            reader: f"the samples leave {name} a loss of {factor:.2f} times its bound"
            for name, factor in losses.items()
            for reader in readers(placement, {name})
        }

    def _unsettled(self, placement: Placement) -> dict[str, str]:
        """Name what reads a tensor that has no range, or whose samples do not agree on one."""
        left: dict[str, str] = {}
        for name in _names(placement):
            reason = _reason(name, self.spreads[name], self.samples)
            if reason:
                left |= dict.fromkeys(readers(placement, {name}), reason)
        return left


def measure(
    file: Path,
    dataset: Dataset,
    progress: Progress = lambda step: None,
    numbers: Format = INT8,
) -> Measured:
    """Run the samples through a float32 model; see `quantise`."""
    model = read_model(file)
    _check(model, file.name, numbers)
    placement = place(model)
    if not placement.layers:
        raise InputError(_nothing(file.name, placement.kept))
    names = _names(placement)
    spreads, runs = calibrate(file, names, dataset, progress, numbers)
    return Measured(file, spreads, dataset.name, runs.samples, dataset.notes)


def _nothing(name: str, reasons: Sequence[str]) -> str:
    said = "; ".join(dict.fromkeys(reasons[:3])) or "there are none"
    return f"{name} has no layer that could be int8: {said}; other samples may help, or fp16"


def _names(placement: Placement) -> tuple[str, ...]:
    return tuple(tensor.name or "" for tensor in placement.tensors)


def _reason(name: str, spread: Spread, samples: int) -> str:
    """Say why a tensor has no range that can be relied on, or nothing."""
    if not spread.best_range():
        return "its input was zero on every sample"
    if samples < ENOUGH or spread.disagreement <= 1:
        return ""
    return (
        f"the range of {name} on half of the samples loses {spread.disagreement:.2f} times what it "
        "may on the others"
    )


def _check(model: ir.Model, name: str, numbers: Format) -> None:
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
    if model.opset_imports[""] < SINCE[numbers.name]:
        raise UsageError(
            f"{name} has opset {model.opset_imports['']}: {numbers.name} wants "
            f"{SINCE[numbers.name]} or newer",
            options=("opset",),
        )
