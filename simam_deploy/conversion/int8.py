"""From a float32 network to an int8 file, calibrated on samples, and the proof that it is right.

The float32 file, in the lowering that was asked for, is held against the source; then the int8
file against the float32 one (`quantize.judge`), and its SimAM gates against the formula.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from simam_deploy.artifacts import CaseResult, LayerCheck, TensorSpec, ValidationReport
from simam_deploy.dataset import Dataset, open_dataset
from simam_deploy.errors import UsageError
from simam_deploy.gates import check_gates, record_sites
from simam_deploy.graph.readable import read_plain
from simam_deploy.graph.write import write_model
from simam_deploy.quantize import SAMPLES, Quantised, Verdict, judge, quantise
from simam_deploy.quantize.calibrate import Progress
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.validate import Recording, compare

Feeds = Mapping[str, npt.NDArray[Any]]
JUDGED = 12
"""Samples that the whole is judged on; the gates on the first."""
_RULE = (
    "int8: twice what noise of half a step on every quantised tensor costs, which is told from the "
    "float32 graph; float32: {}"
)


@dataclass(frozen=True)
class Calibration:
    """What a network is calibrated on.

    Attributes:
        path: A folder of pictures, .npz or .npy.
        preprocessing: The manifest's facts of that name, for pictures.
        samples: The most to take.
    """

    path: Path
    preprocessing: Mapping[str, Any] | None
    samples: int = SAMPLES

    def open(self, inputs: tuple[TensorSpec, ...], most: int | None = None) -> Dataset:
        """Open it for the model's only input, `most` samples spread over all or as many as stated.

        Raises:
            InputError: There are no samples, or they do not fit.
            UsageError: The model has more inputs.
        """
        if len(inputs) != 1:
            raise UsageError(f"int8 is for models of one input, this one has {len(inputs)}")
        return open_dataset(self.path, inputs[0], self.preprocessing, limit=most or self.samples)


def convert_int8(float32: Path, dataset: Dataset, file: Path, progress: Progress) -> Quantised:
    """Quantise a float32 file into `file`.

    Raises:
        InputError: It is quantised already, has nothing to quantise, or the samples do not do.
        UsageError: Its opset is below 13.
    """
    quantised = quantise(float32, dataset, progress=progress)
    write_model(quantised.model, file)
    return quantised


def judge_int8(
    recording: Recording, float32: Path, file: Path, dataset: Dataset, quantised: Quantised
) -> ValidationReport:
    """Hold the float32 file against the source and the int8 file against the float32 one.

    Args:
        recording: Of the source, with float32's spread.
        float32: The file in float32.
        file: The same in int8.
        dataset: Some `JUDGED` samples, of all classes.
        quantised: How the int8 file was made.
    """
    with OnnxRunner(float32, as_written=True) as runner:
        report = compare(recording, runner)
        (spec,) = runner.inputs
    batch = spec.shape[0] if isinstance(spec.shape[0], int) else None
    several = {spec.name: next(dataset.batches(batch or JUDGED)).array}
    one = {spec.name: several[spec.name][: batch or 1]}
    # Too few samples say little about ranges: then the scales are held to what was measured.
    ranges = quantised.calibration["ranges"] if len(dataset) < JUDGED else None
    verdict = judge(float32, file, several, ranges=ranges, kept=quantised.kept)
    samples = record_sites(read_plain(float32), one)
    gates = check_gates(samples, read_plain(file), ir.DataType.FLOAT, one)
    return replace(
        report,
        precision="int8",
        rule=_RULE.format(report.rule),
        results=(*_results(verdict), *report.results),
        gates=gates,
        layers=tuple(
            LayerCheck(t.name, "tensor", t.error / t.allowed if t.allowed else 0.0, 1.0, t.reason)
            for t in verdict.tensors
        ),
    )


def _results(verdict: Verdict) -> tuple[CaseResult, ...]:
    """Word the outputs' cost as relative differences, RMS over RMS."""
    case = f"int8, {verdict.samples} samples"
    return tuple(CaseResult(case, o.output, math.nan, o.cost, o.allowed) for o in verdict.outputs)
