"""What stands beside times: how far outputs are off, and how often answers are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simam_deploy.bench.agreement import Yardstick
from simam_deploy.bench.asked import Asked
from simam_deploy.bench.basis import Basis
from simam_deploy.bench.opening import open_runner
from simam_deploy.bench.process import Worker
from simam_deploy.bench.records import Agreement
from simam_deploy.bench.rounds import Figures
from simam_deploy.bench.subjects import precision_of_file
from simam_deploy.bench.worker import read_arrays
from simam_deploy.core.progress import Progress
from simam_deploy.errors import InputError, SimamError
from simam_deploy.verify.accuracy import BATCH
from simam_deploy.verify.classes import compare_runners
from simam_deploy.verify.pair import under_names
from simam_deploy.verify.report import Accuracy, Detections


@dataclass
class Beside:
    """What is known of subjects beside their times, by name, and batch."""

    agreements: dict[tuple[str, int], Agreement] = field(default_factory=dict)
    accuracies: dict[str, Accuracy | Detections] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)


class Comparison:
    """Holds subjects against the reference, if there is one.

    Args:
        basis: The reference and the inputs.
        folder: For outputs and graphs.
        progress: Told each step.
        beside: To be added to.
    """

    def __init__(self, basis: Basis, folder: Path, progress: Progress, beside: Beside) -> None:
        self._basis = basis
        self._folder = folder
        self._progress = progress
        self._beside = beside

    def add(
        self,
        figures: Sequence[Figures],
        workers: Mapping[str, Worker],
        feeds: Mapping[int, Path],
    ) -> None:
        """Compare the outputs of processes that are open, and measure accuracy.

        Args:
            figures: Of all subjects.
            workers: By name.
            feeds: The files of the inputs, by batch.
        """
        running = [each for each in figures if each.asked.name in workers]
        if self._basis.reference is None:
            return
        others = [each for each in running if each.asked != self._basis.reference]
        if others:
            self._progress("comparing outputs")
            self._hold(others, workers, feeds)
        if self._basis.samples is not None:
            for each in running:
                self._measure_accuracy(each.asked)

    def _hold(
        self,
        figures: Sequence[Figures],
        workers: Mapping[str, Worker],
        feeds: Mapping[int, Path],
    ) -> None:
        basis = self._basis
        assert basis.reference is not None and basis.subject is not None
        try:
            yardstick = Yardstick(basis.reference.name, basis.subject, basis.cases, self._folder)
        except SimamError as error:
            none = Agreement(basis.reference.name, None, None, False, str(error))
            pairs = ((each.asked.name, batch) for each in figures for batch in feeds)
            self._beside.agreements.update(dict.fromkeys(pairs, none))
            return
        for each in figures:
            for batch, file in feeds.items():
                if each.runs_at(batch):
                    self._hold_one(each, batch, (workers[each.asked.name], file, yardstick))

    def _hold_one(self, figures: Figures, batch: int, by: tuple[Worker, Path, Yardstick]) -> None:
        """Have a process give its outputs, and hold them against the reference's."""
        worker, feeds, yardstick = by
        outputs = self._folder / "outputs.npz"
        try:
            kept = worker.order("keep", feeds=feeds, outputs=outputs)
        except InputError as error:
            figures.reasons[batch] = str(error)
            return
        precision = precision_of_file(figures.asked)
        got = read_arrays(outputs)
        agreement = yardstick.hold(batch, precision, kept["outputs"], got)
        self._beside.agreements[figures.asked.name, batch] = agreement

    def _measure_accuracy(self, asked: Asked) -> None:
        """Run the samples through the reference and a subject, in this process."""
        basis = self._basis
        assert basis.subject is not None and basis.samples is not None
        try:
            with basis.subject.reference() as theirs, open_runner(asked) as own:
                outputs = tuple(spec.name for spec in theirs.outputs)
                fixed = own.inputs[0].shape[:1]
                batch = fixed[0] if fixed and isinstance(fixed[0], int) else BATCH
                pair = theirs, under_names(own, theirs.inputs, outputs)
                precision = precision_of_file(asked)
                found = compare_runners(pair, precision, basis.samples, batch, self._progress)
        except SimamError as error:
            note = f"no accuracy: {error}"
            self._beside.notes.setdefault(asked.name, []).append(note)
            return
        self._beside.accuracies[asked.name] = found
