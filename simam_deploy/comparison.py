"""Hold any two models against each other: the order of the steps, read top to bottom."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from simam_deploy import manifest
from simam_deploy.accuracy import AGREEMENT, BATCH, measure_accuracy
from simam_deploy.artifacts import GateCheck, LayerCheck, TensorSpec, ValidationReport
from simam_deploy.bisect import bisect, convert
from simam_deploy.candidate import Candidate, open_candidate, precision_of
from simam_deploy.comparison_report import (
    Accuracy,
    Bisection,
    ComparisonReport,
    Departure,
    Side,
)
from simam_deploy.dataset import Dataset, open_dataset
from simam_deploy.drift import find_departure
from simam_deploy.errors import InputError, UsageError, ValidationError
from simam_deploy.gates import GateChecker, SiteRecorder, SiteSample, worst_of
from simam_deploy.graph import prepare
from simam_deploy.graph.precision import round_layers, rounded, typed
from simam_deploy.graph.precision.formats import HALVES
from simam_deploy.graph.precision.layers import layers
from simam_deploy.graph.read import read_model
from simam_deploy.graph.write import write_model
from simam_deploy.layers import check_layers, record_layers
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.onnx_runner import require_onnxruntime
from simam_deploy.runtime.protocol import Runner
from simam_deploy.runtime.renamed import Renamed
from simam_deploy.sources import Options, Subject, load_subject
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
Feeds = Mapping[str, npt.NDArray[Any]]
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


@dataclass(frozen=True)
class _Pair:
    """Both models, open to whoever reads on, and what was found on opening them.

    Attributes:
        subject: The reference.
        candidate: The other.
        inputs: The reference's.
        outputs: The reference's names.
        original: Reads the reference's graph: float32, plain ops.
    """

    subject: Subject
    candidate: Candidate
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    original: Callable[[], ir.Model]

    @contextlib.contextmanager
    def open_candidate(self) -> Iterator[Runner]:
        """Run the candidate under the reference's names."""
        with self.candidate.runner() as runner, _at_fault(self.candidate.path):
            yield under_names(runner, self.inputs, self.outputs)

    def own_names(self, feeds: Feeds) -> dict[str, npt.NDArray[Any]]:
        """Give feeds under the candidate's names."""
        renames = _partners([s.name for s in self.candidate.inputs], [s.name for s in self.inputs])
        return {own: feeds[theirs] for own, theirs in renames.items()}


def validate_models(
    reference: str | Path,
    candidate: str | Path,
    *,
    arch: str | None = None,
    model: str | None = None,
    e_lambda: float | None = None,
    input_shape: Sequence[int] | None = None,
    trust_pickle: bool = False,
    data: Data | None = None,
    find_hazards: bool = False,
    output: Path | None = None,
    progress: Progress = lambda step: None,
) -> ComparisonReport:
    """Hold a candidate's outputs, SimAM gates and classes against a reference's.

    Args:
        reference: What `export_onnx` takes, in float32: it is right by definition.
        candidate: An .onnx in float32, float16, bfloat16 or int8.
        arch: As for `export_onnx`, of the reference.
        model: As for `export_onnx`, of the reference.
        e_lambda: As for `export_onnx`, of the reference.
        input_shape: Sizes for dimensions that the candidate leaves free.
        trust_pickle: As for `export_onnx`, of the reference.
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
    progress("reading the candidate")
    other = open_candidate(Path(candidate))
    progress("reading the reference")
    options = Options(arch, model, e_lambda, input_shape=input_shape, trust_pickle=trust_pickle)
    subject = _load(Path(reference), options, other)
    with tempfile.TemporaryDirectory() as folder:
        pair, recording = _recorded(subject, other, Path(folder) / "reference.onnx", progress)
        samples = _open_data(data, pair) if data else None
        progress("comparing outputs")
        validation, side, notes = _compare(pair, recording)
        progress("checking gates")
        gates, departure = _check_sites(pair, recording, samples, validation)
        layer_checks, remarks = _check_layers(pair, next(_gate_feeds(pair, recording, samples)))
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
        gates=gates,
        gate_inputs=f"{data.path.name}" if data else "drawn inputs",
        layers=layer_checks,
        departure=departure,
        accuracy=accuracy,
        bisection=found,
        notes=(*subject.notes, *other.notes, *notes, *remarks, *(samples.notes if samples else ())),
        seconds=time.perf_counter() - started,
    )


def _load(path: Path, options: Options, candidate: Candidate) -> Subject:
    """Open the reference at the sizes that the candidate takes.

    Raises:
        UsageError: It is not float32, or does not take the candidate's sizes.
    """
    spec = candidate.inputs[0]
    if path.suffix.lower() == ".onnx":
        _check_float32(path, candidate)
        return load_subject(path, options)
    if path.suffix.lower() == ".pt2":
        return load_subject(path, options)
    sizes = spec.shape[1:]
    dynamic = "batch" if isinstance(spec.shape[0], str) else "none"
    if any(isinstance(size, str) for size in sizes):
        dynamic, shape = "hw", options.input_shape
    else:
        batch = spec.shape[0] if dynamic == "none" else 1
        shape = options.input_shape or tuple(int(n) for n in (batch, *sizes))
    try:
        return load_subject(path, replace(options, dynamic=dynamic, input_shape=shape))
    except UsageError as error:
        raise UsageError(f"{candidate.path.name} takes {spec}; for {path.name}, {error}") from error


def _check_float32(path: Path, candidate: Candidate) -> None:
    precision = precision_of(read_model(path))
    if precision != "fp32":
        swap = f", and {candidate.path.name} is fp32: swap them"
        raise UsageError(
            f"{path.name}, the reference, is {precision}: a reference must be float32"
            f"{swap if candidate.precision == 'fp32' else ''}"
        )


def _recorded(
    subject: Subject, candidate: Candidate, file: Path, progress: Progress
) -> tuple[_Pair, Recording]:
    """Run the reference on every case, and write its graph to `file`."""
    progress("computing reference outputs")
    with subject.reference() as reference:
        inputs = _checked_inputs(reference.inputs, candidate)
        outputs = tuple(spec.name for spec in reference.outputs)
        shapes = dict.fromkeys(_fitted(shapes, candidate) for shapes in subject.shapes)
        cases = cases_for(shapes, candidate.precision)
        graph = prepare(subject.graph().model, subject.opset, simplify=False)
        write_model(graph, file)
        pair = _Pair(subject, candidate, inputs, outputs, lambda: read_model(file))
        with _disturbed(pair) as shaken:
            return pair, record(reference, shaken, cases)


def _disturbed(pair: _Pair) -> Runner:
    """Open the reference as the candidate's precision must disturb it."""
    if pair.candidate.dtype not in HALVES:
        return pair.subject.shaken()
    graph = typed(pair.original())
    round_layers(graph, pair.candidate.dtype)
    return run_graph(graph)


def _bounds(precision: str) -> Mapping[str, Tolerance]:
    return CONVERTED if precision in CONVERTED else TOLERANCES


def _checked_inputs(inputs: tuple[TensorSpec, ...], candidate: Candidate) -> tuple[TensorSpec, ...]:
    """See to it that both models can be given the same arrays.

    Raises:
        InputError: They cannot.
    """
    theirs = candidate.inputs
    alike = len(inputs) == len(theirs) and all(
        len(a.shape) == len(b.shape) and all(map(_may_equal, a.shape, b.shape))
        for a, b in zip(inputs, theirs, strict=True)
    )
    if not alike:
        raise InputError(
            f"the models do not take the same input: {'; '.join(map(str, inputs))} against "
            f"{'; '.join(map(str, theirs))} of {candidate.path.name}"
        )
    return inputs


def _may_equal(a: int | str, b: int | str) -> bool:
    return isinstance(a, str) or isinstance(b, str) or a == b


def _fitted(shapes: Sequence[tuple[int, ...]], candidate: Candidate) -> tuple[tuple[int, ...], ...]:
    """Put the sizes that the candidate fixes into a case's shapes."""
    return tuple(
        tuple(d if isinstance(d, int) else n for d, n in zip(spec.shape, shape, strict=True))
        for spec, shape in zip(candidate.inputs, shapes, strict=True)
    )


def _partners(own: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Pair names: each with itself where they are the same, else by position."""
    if set(theirs) <= set(own):
        return {name: name for name in own}
    return {a: b if b is not None else a for a, b in itertools.zip_longest(own, theirs) if a}


def under_names(runner: Runner, inputs: tuple[TensorSpec, ...], outputs: tuple[str, ...]) -> Runner:
    """Give a runner the names of another, by position where they differ."""
    ins = _partners([s.name for s in runner.inputs], [s.name for s in inputs])
    outs = _partners([s.name for s in runner.outputs], outputs)
    if all(a == b for a, b in (ins | outs).items()):
        return runner
    return Renamed(runner, tuple(ins.values()), tuple(outs.values()))


@contextlib.contextmanager
def _at_fault(path: Path) -> Iterator[None]:
    """Take for a failed validation what keeps the candidate from running."""
    try:
        yield
    except InputError as error:
        raise ValidationError(f"{path.name} cannot be run: {error}") from error


def _compare(pair: _Pair, recording: Recording) -> tuple[ValidationReport, Side, list[str]]:
    """Hold the outputs against the recorded ones."""
    candidate = pair.candidate
    with candidate.runner() as runner, _at_fault(candidate.path):
        named = under_names(runner, pair.inputs, pair.outputs)
        validation = compare(recording, named, candidate.precision, _bounds(candidate.precision))
        outputs = tuple(spec.name for spec in runner.outputs)
    side = Side(candidate.path.name, runner.name, candidate.precision, candidate.inputs, outputs)
    return validation, side, list(_remarks(pair, side))


def _remarks(pair: _Pair, side: Side) -> Iterator[str]:
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


def _open_data(data: Data, pair: _Pair) -> Dataset:
    """Open the samples, at the first case's sizes, with the preprocessing that a model states."""
    shape = _fitted(pair.subject.shapes[0], pair.candidate)[0]
    spec = TensorSpec(pair.inputs[0].name, "float32", ("batch", *shape[1:]))
    facts = pair.subject.facts.get("preprocessing") or manifest.stated_preprocessing(
        read_model(pair.candidate.path).metadata_props
    )
    return open_dataset(data.path, spec, facts, limit=data.limit)


def _batch_size(pair: _Pair, wanted: int) -> int:
    fixed = pair.candidate.inputs[0].shape[0]
    return fixed if isinstance(fixed, int) else wanted


def _check_sites(
    pair: _Pair, recording: Recording, samples: Dataset | None, validation: ValidationReport
) -> tuple[tuple[GateCheck, ...], Departure | None]:
    """Check every gate on every input; where the outputs failed, locate the place."""
    checks: list[tuple[GateCheck, ...]] = []
    first: tuple[tuple[SiteSample, ...], Feeds] | None = None
    with (
        SiteRecorder(pair.original()) as recorder,
        GateChecker(pair.candidate.graph(), pair.candidate.dtype) as checker,
    ):
        for feeds in _gate_feeds(pair, recording, samples):
            own = pair.own_names(feeds)
            maps = recorder.record(feeds)
            first = first or (maps, own)
            checks.append(checker.check(maps, own))
    departure = None
    if first and not validation.passed:
        departure = find_departure(
            *(first[0], pair.candidate.graph, first[1], pair.candidate.unit, validation.results)
        )
    return tuple(worst_of(site) for site in zip(*checks, strict=True)), departure


def _check_layers(pair: _Pair, feeds: Feeds) -> tuple[tuple[LayerCheck, ...], list[str]]:
    """Check every layer of a half candidate, where it has those of the reference."""
    candidate = pair.candidate
    if candidate.dtype not in HALVES:
        return (), []
    theirs, own = (_kinds(graph) for graph in (pair.original(), candidate.graph()))
    if theirs != own:
        return (), [f"layers were not compared one by one: {len(own)}, the reference {len(theirs)}"]
    maps = record_layers(pair.original(), feeds)
    return check_layers(maps, pair.original(), candidate.graph(), candidate.dtype), []


def _kinds(model: ir.Model) -> list[tuple[str, object]]:
    """List each layer's operator and the shape of its weights."""
    return [
        (node.op_type, tuple(weight.const_value.shape))
        for node in layers(model)
        if (weight := node.inputs[1]) is not None and weight.const_value is not None
    ]


def _gate_feeds(pair: _Pair, recording: Recording, samples: Dataset | None) -> Iterator[Feeds]:
    """Yield a batch of real samples, or else the drawn inputs of every case."""
    if samples is None:
        ordered = sorted(recording.outputs, key=lambda case: case.kind != "normal")
        yield from (case.feeds(pair.inputs) for case in ordered)
        return
    size = _batch_size(pair, _GATE_SAMPLES)
    batch = next(samples.batches(size)).array
    if len(batch) == size or not isinstance(pair.candidate.inputs[0].shape[0], int):
        yield {pair.inputs[0].name: batch}
    else:
        raise InputError(f"{samples.name} holds {len(batch)} samples, the model takes {size}")


def _accuracy(pair: _Pair, samples: Dataset, data: Data, progress: Progress) -> Accuracy:
    """Run every sample through both models."""
    progress(f"classifying {len(samples)} samples")
    least = data.min_agreement
    required = AGREEMENT[pair.candidate.precision] if least is None else least
    batches = samples.batches(_batch_size(pair, BATCH))
    with pair.subject.reference() as reference, pair.open_candidate() as candidate:
        return measure_accuracy(reference, candidate, batches, required)


def _bisect(
    pair: _Pair, recording: Recording, output: Path | None, progress: Progress
) -> Bisection:
    """Find what must stay in float32, and write the conversion that keeps it.

    Raises:
        UsageError: The candidate is no half model.
    """
    dtype, precision = pair.candidate.dtype, pair.candidate.precision
    if dtype not in HALVES:
        raise UsageError(f"--bisect is for fp16 and bf16 candidates, this one is {precision}")

    def passes(model: ir.Model) -> bool:
        with run_graph(rounded(model)) as runner:
            return compare(recording, runner, precision, CONVERTED).passed

    found = bisect(pair.original, dtype, passes, progress)
    if output is None or found.reason:
        return found
    _write(pair, found, output)
    return replace(found, written=str(output))


def _write(pair: _Pair, found: Bisection, output: Path) -> None:
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
