"""Hold any two models against each other: the order of the steps, read top to bottom."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from simam_deploy import manifest
from simam_deploy.accuracy import AGREEMENT, BATCH, measure_accuracy
from simam_deploy.artifacts import GateCheck, LayerCheck, TensorSpec, ValidationReport
from simam_deploy.bisect import bisect, convert
from simam_deploy.candidate import open_candidate
from simam_deploy.comparison_report import (
    Accuracy,
    Bisection,
    ComparisonReport,
    Departure,
    Side,
)
from simam_deploy.dataset import Dataset, open_dataset
from simam_deploy.drift import find_departure
from simam_deploy.engine import PLANS
from simam_deploy.errors import InputError, UsageError
from simam_deploy.gates import GateChecker, SiteRecorder, record_sites, worst_of
from simam_deploy.graph.precision import round_layers, rounded, typed
from simam_deploy.graph.precision.formats import HALVES
from simam_deploy.graph.precision.layers import layers
from simam_deploy.graph.write import write_model
from simam_deploy.layers import check_layers, record_layers
from simam_deploy.pair import Feeds, Pair, at_fault, open_pair, under_names
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.onnx_runner import require_onnxruntime
from simam_deploy.runtime.protocol import Runner
from simam_deploy.sources import Options
from simam_deploy.staging import explained, publish, staging_folder
from simam_deploy.validate import (
    CONVERTED,
    TOLERANCES,
    Recording,
    Tolerance,
    cases_for,
    compare,
    record,
)

Progress = Callable[[str], None]
Graph = Callable[[], ir.Model]
_GATE_SAMPLES = 8


@dataclass(frozen=True)
class Data:
    """Samples to hold the models against each other on.

    Attributes:
        path: A folder, .npz or .npy, as `simam_deploy.dataset` takes.
        limit: The most samples; None takes all.
        min_agreement: The least agreement that passes; None takes the precision's.
    """

    path: Path
    limit: int | None = None
    min_agreement: float | None = None


def validate_models(
    reference: str | Path,
    candidate: str | Path,
    *,
    arch: str | None = None,
    model: str | None = None,
    e_lambda: float | None = None,
    input_shape: Sequence[int] | None = None,
    trust_pickle: bool = False,
    trust_engine: bool = False,
    data: Data | None = None,
    find_hazards: bool = False,
    output: Path | None = None,
    progress: Progress = lambda step: None,
) -> ComparisonReport:
    """Hold a candidate's outputs, SimAM gates and classes against a reference's.

    Args:
        reference: What `export_onnx` takes, in float32: it is right by definition.
        candidate: An .onnx in float32, float16, bfloat16 or int8; or a plan, whose gates cannot be
            read, so that its outputs and classes alone are judged.
        arch: As for `export_onnx`, of the reference.
        model: As for `export_onnx`, of the reference.
        e_lambda: As for `export_onnx`, of the reference.
        input_shape: Sizes for dimensions that the candidate leaves free.
        trust_pickle: As for `export_onnx`, of the reference.
        trust_engine: Whether a plan is loaded without its manifest's word: a plan can run code.
        data: Samples, if there are any; gates are then judged on them.
        find_hazards: Whether to find the nodes that must stay in float32, where a half candidate's
            outputs fail.
        output: Where to write the conversion that keeps them.
        progress: Told each step.

    Returns:
        The report, whatever it says.

    Raises:
        InputError: A file cannot be used, or the models do not take the same input.
        UsageError: The reference is not float32, or options contradict each other.
        ValidationError: The candidate cannot be run at all.
    """
    started = time.perf_counter()
    require_onnxruntime()
    if find_hazards and Path(candidate).suffix in PLANS:
        raise UsageError(f"--bisect wants an .onnx: nodes of {candidate}, a plan, cannot be told")
    progress("reading the candidate")
    other = open_candidate(Path(candidate), trust_engine)
    if find_hazards and other.dtype not in HALVES:
        raise UsageError(f"--bisect is for fp16 and bf16 candidates, this one is {other.precision}")
    progress("reading the reference")
    options = Options(arch, model, e_lambda, input_shape=input_shape, trust_pickle=trust_pickle)
    with tempfile.TemporaryDirectory() as folder:
        pair = open_pair(Path(reference), options, other, Path(folder))
        progress("computing reference outputs")
        recording = _record(pair)
        samples = _open_data(data, pair) if data else None
        progress("comparing outputs")
        validation, side, notes = _compare(pair, recording)
        inside = _Inside()
        if other.graph is not None:
            progress("checking gates")
            feeds = list(_gate_feeds(pair, recording, samples))
            inside = _look_inside(pair, other.graph, feeds, validation)
        accuracy = _accuracy(pair, samples, data, progress) if samples and data else None
        found = None
        if find_hazards and not validation.passed:
            found = _bisect(pair, recording, output, progress)
    return ComparisonReport(
        reference=Side(
            Path(reference).name, recording.reference, "fp32", pair.inputs, pair.outputs
        ),
        candidate=side,
        validation=validation,
        gates=inside.gates,
        gate_inputs=f"{data.path.name}" if data else "drawn inputs",
        layers=inside.layers,
        departure=inside.departure,
        accuracy=accuracy,
        bisection=found,
        notes=(
            *pair.subject.notes,
            *other.notes,
            *notes,
            *inside.notes,
            *(samples.notes if samples else ()),
        ),
        seconds=time.perf_counter() - started,
        gates_shown=other.graph is not None,
    )


def _record(pair: Pair) -> Recording:
    """Run the reference on every case, and once more as the precision disturbs it."""
    cases = cases_for(pair.shapes, pair.candidate.precision)
    with pair.subject.reference() as reference, _disturbed(pair) as shaken:
        return record(reference, shaken, cases)


def _disturbed(pair: Pair) -> Runner:
    """Open the reference as the candidate's precision must disturb it."""
    if pair.candidate.dtype not in HALVES:
        return pair.subject.shaken()
    graph = typed(pair.original())
    round_layers(graph, pair.candidate.dtype)
    return run_graph(graph)


def _bounds(precision: str) -> Mapping[str, Tolerance]:
    return CONVERTED if precision in CONVERTED else TOLERANCES


def _compare(pair: Pair, recording: Recording) -> tuple[ValidationReport, Side, list[str]]:
    """Hold the outputs against the recorded ones."""
    candidate = pair.candidate
    with candidate.runner() as runner, at_fault(candidate.path):
        named = under_names(runner, pair.inputs, pair.outputs)
        validation = compare(recording, named, candidate.precision, _bounds(candidate.precision))
        outputs = tuple(spec.name for spec in runner.outputs)
    side = Side(candidate.path.name, runner.name, candidate.precision, candidate.inputs, outputs)
    return validation, side, list(_remarks(pair, side))


def _remarks(pair: Pair, side: Side) -> Iterator[str]:
    """Say what was matched by position, cast, or left out."""
    for kind, theirs, own in (
        ("inputs", [s.name for s in pair.inputs], [s.name for s in side.inputs]),
        ("outputs", list(pair.outputs), list(side.outputs)),
    ):
        if not set(theirs) <= set(own):
            yield f"{kind} matched by position: {', '.join(theirs)} against {', '.join(own)}"
    if len(side.outputs) > len(pair.outputs):
        yield f"the candidate has {len(side.outputs) - len(pair.outputs)} more outputs"
    for spec in side.inputs:
        if spec.dtype in ("float16", "bfloat16"):
            yield f"input {spec.name} is {spec.dtype}: the float32 inputs were rounded to it"


def _open_data(data: Data, pair: Pair) -> Dataset:
    """Open the samples, at the first case's sizes, with the preprocessing that a model states."""
    shape = pair.shapes[0][0]
    spec = TensorSpec(pair.inputs[0].name, "float32", ("batch", *shape[1:]))
    facts = pair.subject.facts.get("preprocessing") or pair.candidate.preprocessing
    return open_dataset(data.path, spec, facts, limit=data.limit)


@dataclass(frozen=True)
class _Inside:
    """What was found between a candidate's inputs and outputs; nothing of a plan."""

    gates: tuple[GateCheck, ...] = ()
    layers: tuple[LayerCheck, ...] = ()
    departure: Departure | None = None
    notes: tuple[str, ...] = ()


def _look_inside(
    pair: Pair, graph: Graph, inputs: Sequence[Feeds], validation: ValidationReport
) -> _Inside:
    """Check the candidate's gates and layers, and find where its maps part, if its outputs do."""
    gates = _check_sites(pair, graph, inputs)
    layer_checks, notes = _check_layers(pair, graph, inputs[0])
    departure = _locate(pair, graph, inputs[0], validation)
    return _Inside(gates, layer_checks, departure, tuple(notes))


def _check_sites(pair: Pair, graph: Graph, inputs: Sequence[Feeds]) -> tuple[GateCheck, ...]:
    """Check every gate on every input."""
    checks = []
    with (
        SiteRecorder(pair.original()) as recorder,
        at_fault(pair.candidate.path),
        GateChecker(graph(), pair.candidate.dtype) as checker,
    ):
        for feeds in inputs:
            checks.append(checker.check(recorder.record(feeds), pair.own_names(feeds)))
    return tuple(worst_of(site) for site in zip(*checks, strict=True))


def _locate(
    pair: Pair, graph: Graph, feeds: Feeds, validation: ValidationReport
) -> Departure | None:
    """Find where the maps part, if the outputs do."""
    if validation.passed:
        return None
    samples, own = record_sites(pair.original(), feeds), pair.own_names(feeds)
    return find_departure(samples, graph, own, pair.candidate.unit, validation.results)


def _check_layers(
    pair: Pair, graph: Graph, feeds: Feeds
) -> tuple[tuple[LayerCheck, ...], list[str]]:
    """Check every layer of a half candidate, where it has those of the reference."""
    candidate = pair.candidate
    if candidate.dtype not in HALVES:
        return (), []
    theirs, own = (_kinds(model) for model in (pair.original(), graph()))
    if theirs != own:
        return (), [f"layers were not compared one by one: {len(own)}, the reference {len(theirs)}"]
    maps = record_layers(pair.original(), feeds)
    with at_fault(candidate.path):
        return check_layers(maps, pair.original(), graph(), candidate.dtype), []


def _kinds(model: ir.Model) -> list[tuple[str, object]]:
    """List each layer's operator and the shape of its weights."""
    return [
        (node.op_type, tuple(weight.const_value.shape))
        for node in layers(model)
        if (weight := node.inputs[1]) is not None and weight.const_value is not None
    ]


def _gate_feeds(pair: Pair, recording: Recording, samples: Dataset | None) -> Iterator[Feeds]:
    """Yield a batch of real samples, or else the drawn inputs of every case."""
    if samples is None:
        ordered = sorted(recording.outputs, key=lambda case: case.kind != "normal")
        yield from (case.feeds(pair.inputs) for case in ordered)
        return
    size = pair.batch_size(_GATE_SAMPLES)
    batch = next(samples.batches(size)).array
    if len(batch) == size or not isinstance(pair.candidate.inputs[0].shape[0], int):
        yield {pair.inputs[0].name: batch}
    else:
        raise InputError(f"{samples.name} holds {len(batch)} samples, the model takes {size}")


def _accuracy(pair: Pair, samples: Dataset, data: Data, progress: Progress) -> Accuracy:
    """Run every sample through both models."""
    progress(f"classifying {len(samples)} samples")
    least = data.min_agreement
    required = AGREEMENT[pair.candidate.precision] if least is None else least
    batches = samples.batches(pair.batch_size(BATCH))
    with pair.subject.reference() as reference, pair.open_candidate() as candidate:
        return measure_accuracy(reference, candidate, batches, required)


def _bisect(pair: Pair, recording: Recording, output: Path | None, progress: Progress) -> Bisection:
    """Find what must stay in float32, and write the conversion that keeps it."""
    dtype, precision = pair.candidate.dtype, pair.candidate.precision

    def passes(model: ir.Model) -> bool:
        with run_graph(rounded(model)) as runner:
            return compare(recording, runner, precision, CONVERTED).passed

    found = bisect(pair.original, dtype, passes, progress)
    if output is None or found.reason:
        return found
    _write(pair, found, output)
    return replace(found, written=str(output))


def _write(pair: Pair, found: Bisection, output: Path) -> None:
    """Write a conversion with its manifest."""
    converted = convert(pair.original(), pair.candidate.dtype, found.kept)
    facts = {
        **pair.subject.facts,
        "precision": pair.candidate.precision,
        "kept_in_float32": list(found.kept),
        "opset": converted.opset_imports[""],
    }
    with staging_folder(output) as stage:
        file = stage / output.name
        with explained(output):
            write_model(converted, file)
            manifest.seal(file, facts)
            publish(stage, output)
