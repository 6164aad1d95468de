"""From figures as they were taken to the rows of a report."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from simam_deploy.bench.asked import ENGINE
from simam_deploy.bench.beside import Beside
from simam_deploy.bench.ratio import ratio_of
from simam_deploy.bench.records import BatchRow, Ratio, SubjectRow, Times
from simam_deploy.bench.rounds import Figures, Start
from simam_deploy.bench.subjects import precision_of_file
from simam_deploy.core.files import parts
from simam_deploy.core.specs import shape_text
from simam_deploy.source.subject import InputShapes


def subject_row(
    figures: Figures, first: Figures, shapes: Mapping[int, InputShapes], beside: Beside
) -> SubjectRow:
    """Sum up a subject, its ratios to the first."""
    asked = figures.asked
    return SubjectRow(
        name=asked.name,
        file=asked.path.name,
        how=asked.how,
        runner=figures.runner,
        precision=precision_of_file(asked),
        size=sum(p.stat().st_size for p in parts(asked.path) if p.is_file()) or None,
        cold_start_s=_median(wall for wall, _ in figures.cold),
        cold_start_processor_s=_median(used for _, used in figures.cold),
        peak_memory=round(statistics.median(figures.peaks)) if figures.peaks else None,
        accuracy=beside.accuracies.get(asked.name),
        batches=tuple(
            BatchRow(
                batch=batch,
                shapes=tuple(map(shape_text, shapes[batch])),
                times=times_of(figures.starts.get(batch, ()), batch, asked.how == ENGINE),
                ratios=tuple(ratios_of(figures, first, batch)),
                agreement=beside.agreements.get((asked.name, batch)),
                reason=figures.reasons.get(batch, ""),
            )
            for batch in shapes
        ),
        reason=figures.reason,
        notes=tuple(beside.notes.get(asked.name, ())),
    )


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.median(known) if known else None


def times_of(starts: Sequence[Start], batch: int, on_gpu: bool) -> Times | None:
    """Sum up what starts took, None where no run was timed."""
    wall = sorted(taken for start in starts for taken in start.wall)
    if not wall:
        return None
    processor = [taken for start in starts for taken in start.processor]
    return Times(
        runs=len(wall),
        p50_ms=_percentile(wall, 50),
        p90_ms=_percentile(wall, 90),
        p99_ms=_percentile(wall, 99),
        processor_ms=None if on_gpu else statistics.median(processor),
        rows_per_second=1e3 * batch * len(wall) / sum(wall),
        warm_runs=starts[-1].warm_runs,
        stable=all(start.stable for start in starts),
    )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """Give the smallest that so many of a hundred do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def ratios_of(figures: Figures, first: Figures, batch: int) -> Iterator[Ratio]:
    """Give the ratios to the first by every clock that both have, that to be read first."""
    if figures is first:
        return
    for clock in _clocks(figures, first):
        ours, theirs = (_rounds(each, batch, clock) for each in (figures, first))
        found = ratio_of(theirs, ours, clock)
        if found is not None:
            yield found


def _rounds(figures: Figures, batch: int, clock: str) -> list[list[float]]:
    starts = figures.starts.get(batch, ())
    return [s.processor_rounds if clock == "processor" else s.wall_rounds for s in starts]


def _clocks(figures: Figures, first: Figures) -> tuple[str, ...]:
    """Choose the clocks that two subjects have in common.

    One thread's processor time is steadiest, for it is not that of others that wait beside it;
    that of several threads is no latency, and that beside a GPU little of it.
    """
    ways = {figures.asked.how, first.asked.how}
    if ways == {ENGINE}:
        return ("gpu",)
    if ways & {ENGINE, "cuda", "tensorrt"}:
        return ("wall",)
    return ("processor", "wall") if figures.asked.threads == 1 else ("wall", "processor")
