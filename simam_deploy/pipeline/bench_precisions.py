"""One network in every precision, side by side: exported, counted as a plan, and measured."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simam_deploy.bench.basis import said_of
from simam_deploy.bench.inputs import KINDS, at_batch
from simam_deploy.bench.options import BenchOptions
from simam_deploy.bench.records import Agreement, BatchRow, BenchReport, SubjectRow
from simam_deploy.core.files import stem_of
from simam_deploy.core.place import place_of
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import PRECISIONS, QUANTISED
from simam_deploy.core.validation import ValidationReport
from simam_deploy.errors import SimamError, UsageError, ValidationError
from simam_deploy.pipeline.bench import bench_models
from simam_deploy.pipeline.export import export_onnx
from simam_deploy.pipeline.launches import count_launches
from simam_deploy.pipeline.options import OnnxOptions
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions, SampleOptions
from simam_deploy.source.samples.inputs import find_inputs, size_fact
from simam_deploy.verify.cases import drawn_cases

DRAWN = 64
"""Rows that int8 and fp8 are calibrated on where nobody gives samples."""
_Said = tuple[NetworkOptions, SampleOptions]
_DRAWN_NOTE = "calibrated on drawn inputs: give pictures as the network will see them"


@dataclass(frozen=True)
class _Made:
    """What became of a precision.

    Attributes:
        precision: It.
        path: The file; it is there only where there is no reason.
        validation: Of its export.
        launches: Of its plan, None where it was not built.
        reason: Why there is no file.
        notes: What a reader should know.
    """

    precision: str
    path: Path
    validation: ValidationReport | None = None
    launches: int | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()


def bench_precisions(
    source: str | os.PathLike[str],
    precisions: Sequence[str] = tuple(PRECISIONS),
    network: NetworkOptions | None = None,
    samples: SampleOptions | None = None,
    options: BenchOptions | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    table: str | os.PathLike[str] | None = None,
    progress: Progress = lambda step: None,
) -> BenchReport:
    """Export a source in several precisions and measure the files.

    A precision that is refused, at its export or by the runtime, is a row that says why. Launches
    are those of a TensorRT-RTX plan, where that library is installed.

    Args:
        source: What `export_onnx` takes, in float32.
        precisions: Which; ratios are to the first that can be measured.
        network: What is said of the source.
        samples: For accuracy, and what int8 and fp8 are calibrated on; without any, that is drawn.
        options: How the files are measured.
        output: A folder for the files; by default NAME-precisions beside the source.
        table: As of `bench_models`.
        progress: Told each step.

    Returns:
        The report: a row a precision, in their order.

    Raises:
        InputError: The source cannot be used, or no precision be measured; says why of the first.
        UsageError: The options contradict each other or the source.
    """
    path = Path(source)
    network, samples = network or NetworkOptions(), samples or SampleOptions()
    folder = folder_of(path, output)
    made = list(_all_made(path, folder, precisions, (network, samples), progress))
    files = [each.path for each in made if not each.reason]
    if not files:
        raise ValidationError(f"{path.name} in {made[0].precision}: {made[0].reason}")
    asked = replace(options or BenchOptions(), reference=path)

    def finish(report: BenchReport) -> BenchReport:
        return replace(report, subjects=tuple(_rows(made, report)))

    return bench_models(
        files, network, samples, asked, table=table, finish=finish, progress=progress
    )


def _all_made(
    source: Path, folder: Path, precisions: Sequence[str], said: _Said, progress: Progress
) -> Iterator[_Made]:
    """Export in every precision; once there is one in float32, the others are made of that.

    It is proved to be the source, and read in a tenth of the time that a source is traced in.
    """
    name = stem_of(source)
    for precision in precisions:
        target = place_of(source, folder / f"{name}-{precision}.onnx", (".onnx",))
        made = _made(source, target, precision, said, progress)
        yield made
        if precision == "fp32" and not made.reason:
            source, said = target, (said_of(target, said[0]), said[1])


def _made(
    source: Path,
    target: Path,
    precision: str,
    said: _Said,
    progress: Progress,
) -> _Made:
    """Export in one precision, and count the launches of its plan."""
    network, samples = said
    progress(f"exporting in {precision}")
    onnx, notes = OnnxOptions(precision=precision), tuple[str, ...]()
    try:
        with tempfile.TemporaryDirectory() as drawn:
            if precision in QUANTISED:
                data = samples.data or _drawn(source, network, Path(drawn))
                onnx = replace(onnx, calibration_data=data)
                notes = () if samples.data else (_DRAWN_NOTE,)
            artifact = export_onnx(source, target, onnx, network, samples, progress=progress)
    except UsageError:
        raise
    except SimamError as error:
        return _Made(precision, target, reason=str(error), notes=notes)
    launches, said_of_it = count_launches(target, f"in {precision}", progress)
    return _Made(precision, target, artifact.validation, launches, notes=(*notes, *said_of_it))


def _drawn(source: Path, network: NetworkOptions, folder: Path) -> Path:
    """Write drawn inputs to calibrate on.

    Raises:
        InputError: The source cannot be used.
        UsageError: It takes more inputs than samples give.
    """
    subject = load_subject(source, network)
    known = subject.facts.get("preprocessing")
    with subject.reference() as runner:
        inputs = runner.inputs
    taken = find_inputs(inputs, bool(size_fact(known)))
    shapes = at_batch(inputs, subject.shapes[0], DRAWN)
    feeds = drawn_cases((shapes,), KINDS, known)[0].feeds(inputs)
    file = folder / "drawn.npz"
    arrays = feeds if taken.several else {"images": feeds[taken.sample.name]}
    with zipfile.ZipFile(file, "w") as archive:  # to np.savez some names mean something else
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return file


def _rows(made: Sequence[_Made], report: BenchReport) -> Iterator[SubjectRow]:
    """Give each precision its row: that measured, with what is known beside it, or its reason."""
    none = tuple(BatchRow(b.batch, b.shapes) for b in report.subjects[0].batches)
    for each in made:
        name = each.path.name
        measured = [subject for subject in report.subjects if subject.file == name]
        refused = SubjectRow(name, name, "", batches=none, reason=each.reason)
        for row in measured or [refused]:
            notes = (*row.notes, *each.notes)
            known = replace(row, precision=each.precision, launches=each.launches, notes=notes)
            yield _with_proof(known, each.validation, report.reference)


def _with_proof(
    row: SubjectRow, validation: ValidationReport | None, reference: str | None
) -> SubjectRow:
    """Let what the export's own proof found stand where the runtime here does not run the file."""
    if validation is None or any(batch.agreement for batch in row.batches):
        return row
    worst = validation.worst
    found = Agreement(reference or validation.reference, worst.max_rel, worst.allowed,
                      validation.passed)  # fmt: skip
    batches = tuple(replace(batch, agreement=found) for batch in row.batches)
    return replace(row, batches=batches, notes=(*row.notes, "agrees: by its export's own proof"))


def folder_of(source: Path, output: str | os.PathLike[str] | None) -> Path:
    """Say which folder the files of a source are made in: beside it, unless one is named."""
    return source.with_name(f"{stem_of(source)}-precisions") if output is None else Path(output)
