"""From a float32 network to a file in a half type, and the proof that the file is right.

Three things are proved, all on the file that was written, with its rounding written out
(`graph.precision.rounding`), since ONNX Runtime's CPU provider hides it:

    gates    every SimAM gate against the formula, on the map the float32 network has there
    layers   every layer against its float32 self, likewise
    outputs  within `validate.CONVERTED` times what that precision must cost this network, which
             is told from the float32 graph alone (`graph.precision.cost`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from simam_deploy.artifacts import ValidationReport
from simam_deploy.conversion.original import Original
from simam_deploy.gates import SiteSample, check_gates, record_sites
from simam_deploy.graph import prepare
from simam_deploy.graph.fuse_epilogue import fuse_epilogue
from simam_deploy.graph.precision import round_layers, rounded, to_half
from simam_deploy.graph.precision.formats import HALF_TYPES
from simam_deploy.graph.readable import read_plain
from simam_deploy.graph.write import write_model
from simam_deploy.layers import LayerMaps, check_layers, record_layers
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.runtime.protocol import Runner
from simam_deploy.validate import CONVERTED, Case, Recording, compare, record

Feeds = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Reference:
    """What the float32 network does: its outputs, and inside, the maps of its sites and layers."""

    recording: Recording
    feeds: Feeds
    sites: tuple[SiteSample, ...]
    layers: LayerMaps


def record_half(
    original: Original, reference: Runner, cases: tuple[Case, ...], precision: str
) -> Reference:
    """Run the network, and its graph with the rounding that `precision` cannot do without.

    Args:
        original: The graph.
        reference: The network itself.
        cases: The first of kind "normal" is looked into.
        precision: "fp16" or "bf16".
    """
    graph = original.graph()
    round_layers(graph, HALF_TYPES[precision])
    cost = original.file.with_name("cost.onnx")
    write_model(prepare(graph, original.opset, simplify=False), cost)
    with OnnxRunner(cost, as_written=True) as shaken:
        recording = record(reference, shaken, cases)
    case = next(case for case in cases if case.kind == "normal")
    feeds = case.feeds(reference.inputs)
    sites = record_sites(original.plain(), feeds)
    return Reference(recording, feeds, sites, record_layers(original.plain(), feeds))


def convert_half(
    original: Original, precision: str, keep_io: bool, lowering: str, simplify: bool, file: Path
) -> tuple[str, ...]:
    """Write the network in a half type.

    Returns:
        What there is to say of it.

    Raises:
        InputError: The graph is half or quantised already.
        UsageError: The opset is too old for bfloat16.
    """
    graph = original.graph()
    if original.fused:
        fuse_epilogue(graph)
    # A node that is kept computes in float32 inside: it needs no Casts around it.
    halved = to_half(graph, HALF_TYPES[precision], keep_io, simam_half=original.fused)
    write_model(prepare(graph, original.opset, simplify, lowering), file)
    return halved.notes


def judge_half(
    reference: Reference, original: Original, file: Path, precision: str
) -> ValidationReport:
    """Hold a converted file against the reference: outputs, gates and layers."""
    dtype = HALF_TYPES[precision]
    gates = check_gates(reference.sites, read_plain(file), dtype, reference.feeds)
    layers = check_layers(reference.layers, original.plain(), read_plain(file), dtype)
    report = _compare_rounded(reference.recording, file, precision, original.file.parent)
    if precision == "fp16":  # ONNX Runtime has no bfloat16 convolution on the CPU
        report = _joined(report, _compare_run(reference.recording, file, precision))
    return replace(report, gates=gates, layers=layers)


def _compare_run(recording: Recording, file: Path, precision: str) -> ValidationReport:
    with OnnxRunner(file, as_written=True) as runner:
        return compare(recording, runner, precision, CONVERTED)


def _compare_rounded(
    recording: Recording, file: Path, precision: str, folder: Path
) -> ValidationReport:
    emulated = folder / "rounded.onnx"
    write_model(rounded(read_plain(file)), emulated)
    report = _compare_run(recording, emulated, precision)
    results = (replace(r, case=f"{r.case}, every rounding shown") for r in report.results)
    return replace(report, results=tuple(results))


def _joined(a: ValidationReport, b: ValidationReport) -> ValidationReport:
    return replace(b, results=(*b.results, *a.results))
