"""One run of a benchmark: what is known at any time of it, and the steps that add to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from simam_deploy.bench.asked import Asked
from simam_deploy.bench.assemble import subject_row
from simam_deploy.bench.basis import Basis
from simam_deploy.bench.beside import Beside, Comparison
from simam_deploy.bench.inputs import arrays_of
from simam_deploy.bench.process import Worker
from simam_deploy.bench.records import Roofline, SubjectRow
from simam_deploy.bench.roofline import measure_roofline
from simam_deploy.bench.rounds import Figures, Schedule, Watcher, first_of, measure
from simam_deploy.bench.worker import read_arrays, write_arrays
from simam_deploy.core.progress import Progress
from simam_deploy.errors import SimamError


class Run:
    """What is known, and the steps; an exception in one leaves what others found.

    Args:
        subjects: What is measured; ratios are to the first.
        basis: What they run on.
        schedule: How much.
        folder: For arrays that processes are given and give.
        progress: Told each step.
    """

    def __init__(
        self,
        subjects: Sequence[Asked],
        basis: Basis,
        schedule: Schedule,
        folder: Path,
        progress: Progress,
    ) -> None:
        self.figures = [Figures(asked) for asked in subjects]
        self.beside = Beside()
        self.rooflines: list[Roofline] = []
        self._basis = basis
        self._schedule = schedule
        self._folder = folder
        self._progress = progress
        self._feeds = {batch: self._written(batch) for batch in basis.cases}

    def _written(self, batch: int) -> Path:
        """Write a batch's arrays into a file."""
        file = self._folder / f"feeds{batch}.npz"
        write_arrays(file, arrays_of(self._basis.cases[batch], self._basis.inputs))
        return file

    @property
    def rounds(self) -> int:
        """How many there were, at the batch that had most."""
        counts = (
            sum(len(start.wall_rounds) for start in starts)
            for each in self.figures
            for starts in each.starts.values()
        )
        return max(counts, default=0)

    def rows(self) -> tuple[SubjectRow, ...]:
        """Sum up what is known so far."""
        first = first_of(self.figures)
        shapes = self._basis.shapes
        return tuple(subject_row(each, first, shapes, self.beside) for each in self.figures)

    def measure(self, measured: Callable[[int, int], None]) -> None:
        """Take times, and before that hold outputs against the reference.

        Args:
            measured: Told the start and the batch that are done.
        """
        watcher = Watcher(self._progress, self._opened, measured)
        measure(self.figures, self._feeds, self._schedule, watcher)

    def measure_rooflines(self) -> None:
        """Hold the SimAM sites of each .onnx on the CPU against copies."""
        for each in self.figures:
            for batch, file in self._feeds.items():
                if each.asked.how == "cpu" and each.starts.get(batch) and each.runs_at(batch):
                    self._progress(f"timing the sites of {each.asked.name}")
                    try:
                        found = measure_roofline(each.asked, batch, read_arrays(file))
                    except SimamError as error:
                        self._note(each.asked, f"no sites: {error}")
                        break
                    self.rooflines.append(found)

    def _opened(self, workers: Mapping[str, Worker]) -> None:
        """Compare outputs, and accuracy where there are samples, before anything is timed."""
        Comparison(self._basis, self._folder, self._progress, self.beside).add(
            self.figures, workers, self._feeds
        )

    def _note(self, asked: Asked, line: str) -> None:
        self.beside.notes.setdefault(asked.name, []).append(line)
