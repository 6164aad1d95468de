"""What a benchmark found: frozen, and ready for JSON.

Times are milliseconds of one run; memory and sizes are bytes; a ratio is how many times as fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from simam_deploy.core.validation import json_ready
from simam_deploy.verify.report import Accuracy, Detections


@dataclass(frozen=True)
class Circumstances:
    """Where and when figures were taken: they are worth nothing elsewhere.

    Attributes:
        date: UTC, ISO 8601, to the second.
        machine: The processor's name, and its cores.
        gpu: Its name, None where none was used.
        versions: Of each package that computed something, and of Python.
        threads: That a run computes with.
    """

    date: str
    machine: str
    gpu: str | None
    versions: Mapping[str, str]
    threads: int


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the first, and the interval that holds it.

    Attributes:
        value: The first's time over this one's; above 1 is faster.
        low: The interval's lower end at `CONFIDENCE`; None where there were too few starts.
        high: Its upper end, None likewise.
        clock: "processor" (of all threads of the process), "wall" or "gpu".
        starts: Of both processes, each of which gave one value.
    """

    value: float
    low: float | None
    high: float | None
    clock: str
    starts: int

    @property
    def inverse(self) -> Ratio:
        """How many times the first's time it takes."""
        low = None if self.high is None else 1 / self.high
        high = None if self.low is None else 1 / self.low
        return Ratio(1 / self.value, low, high, self.clock, self.starts)

    @property
    def differs(self) -> bool:
        """True where the interval leaves out 1."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


@dataclass(frozen=True)
class Times:
    """What runs at one batch took.

    Attributes:
        runs: How many were timed.
        p50_ms: Half of them took no longer; wall time, or the GPU's own of an engine.
        p90_ms: Nine of ten.
        p99_ms: 99 of 100; with fewer runs, the slowest.
        processor_ms: The median of the processor time of all threads, None of an engine.
        rows_per_second: Throughput of one run after another.
        warm_runs: Before the first that counts, in the last start.
        stable: Whether every start was warm by the rule of `bench.worker`, or out of patience.
    """

    runs: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    processor_ms: float | None
    rows_per_second: float
    warm_runs: int
    stable: bool


@dataclass(frozen=True)
class Agreement:
    """What was timed, held against the reference on the same inputs by the rule of `verify`.

    Attributes:
        reference: The reference's name.
        worst: The largest difference in the slice nearest its bound, relative to the largest value
            there; None where nothing could be compared.
        allowed: The bound on it.
        passed: The verdict.
        reason: Why nothing could be compared.
    """

    reference: str
    worst: float | None
    allowed: float | None
    passed: bool
    reason: str = ""


@dataclass(frozen=True)
class BatchRow:
    """A subject at one batch.

    Attributes:
        batch: Rows of an input.
        shapes: Of every input, as `1x3x224x224`.
        times: None where it does not run at this batch, or was interrupted before.
        ratios: To the first subject that was timed, at this batch: by the clock to be read first,
            then by others.
        agreement: None of the reference itself, and where there is none.
        reason: Why it was not timed.
    """

    batch: int
    shapes: tuple[str, ...]
    times: Times | None = None
    ratios: tuple[Ratio, ...] = ()
    agreement: Agreement | None = None
    reason: str = ""

    @property
    def ratio(self) -> Ratio | None:
        """The ratio to be read."""
        return self.ratios[0] if self.ratios else None


@dataclass(frozen=True)
class SubjectRow:
    """One model, run in one way.

    Attributes:
        name: Unlike every other's: the file's, and how it is run.
        file: The file's name.
        how: "eager", "compile", "cpu", "cuda", "tensorrt" or "engine".
        runner: What ran it, with its version; "" where nothing did.
        precision: One of `core.specs.PRECISIONS`; "" where it could not be read.
        size: Of the file and its external data.
        cold_start_s: From the start of a process to its first answer, imports and loading
            included: the median over starts.
        cold_start_processor_s: What all threads used until then, which is not the wait for others.
        peak_memory: The most that a process of its own held resident, over loading and all runs:
            the median over starts; the GPU's is not in it.
        accuracy: On `--data`.
        launches: Kernels of a TensorRT-RTX plan, where it was built to count them.
        batches: One a batch that was asked for.
        reason: Why it was not measured at all.
        notes: What a reader should know.
    """

    name: str
    file: str
    how: str
    runner: str = ""
    precision: str = ""
    size: int | None = None
    cold_start_s: float | None = None
    cold_start_processor_s: float | None = None
    peak_memory: int | None = None
    accuracy: Accuracy | Detections | None = None
    launches: int | None = None
    batches: tuple[BatchRow, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SiteRow:
    """One SimAM site against a copy of its map.

    Attributes:
        name: The site's.
        shape: Of its map, (N, C, H, W), at the batch that was run.
        moved: Bytes that must move: the map read once and written once.
        floor_ms: What a copy of such a map took on that device in that run.
        taken_ms: What its nodes took; None where they cannot be told apart.
        nodes: Whose time that is: their operators, in order.
        note: Why they cannot be told, or what else is in them.
    """

    name: str
    shape: tuple[int, ...]
    moved: int
    floor_ms: float
    taken_ms: float | None
    nodes: tuple[str, ...] = ()
    note: str = ""

    @property
    def share(self) -> float | None:
        """The copy's time over the site's: 1 is as fast as a copy."""
        return self.floor_ms / self.taken_ms if self.taken_ms else None


@dataclass(frozen=True)
class Roofline:
    """The sites of a subject, and the network as a whole, against copies.

    Attributes:
        subject: The name of its `SubjectRow`.
        batch: That was run.
        device: That it ran on.
        copy_gb_s: Bytes read and written by a copy of the largest map, per second, in 1e9.
        sites: In the graph's order.
        moved: Bytes that the network must move if every layer with weights and every site reads
            its inputs, weights included, and writes its outputs once, and all else is fused into
            them; None where that of a site is not known.
        floor_ms: What copying so many would take at `copy_gb_s`; arithmetic is not in it.
        taken_ms: One run of the network under the profiler.
        note: What the figures leave out.
    """

    subject: str
    batch: int
    device: str
    copy_gb_s: float
    sites: tuple[SiteRow, ...]
    moved: int | None
    floor_ms: float | None
    taken_ms: float
    note: str = ""

    @property
    def share(self) -> float | None:
        """The floor's time over the network's."""
        return None if self.floor_ms is None else self.floor_ms / self.taken_ms


@dataclass(frozen=True)
class BenchReport:
    """All that `simam-bench` says of models side by side.

    Attributes:
        circumstances: Where and when.
        reference: The name of the subject that outputs are held against, None where there is none.
        subjects: In the order of the command line.
        rooflines: Of the subjects whose nodes can be timed.
        starts: How many processes each subject had, one after another.
        rounds: In which all subjects took turns, over all starts.
        notes: What a reader should know.
        interrupted: Whether it was stopped before all figures were taken.
        seconds: What it took.
    """

    circumstances: Circumstances
    reference: str | None
    subjects: tuple[SubjectRow, ...]
    rooflines: tuple[Roofline, ...] = ()
    starts: int = 0
    rounds: int = 0
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def first(self) -> SubjectRow:
        """The subject that ratios are to: the first of which anything was timed."""
        timed = (s for s in self.subjects if any(row.times for row in s.batches))
        return next(timed, self.subjects[0])

    @property
    def failed(self) -> tuple[SubjectRow, ...]:
        """The subjects of which something that was asked for could not be measured."""
        return tuple(s for s in self.subjects if s.reason or any(b.reason for b in s.batches))

    def to_json(self) -> dict[str, Any]:
        """Give the document that `simam-bench --json` prints; it holds no NaN."""
        document: dict[str, Any] = json_ready(asdict(self))
        for each, roofline in zip(document["rooflines"], self.rooflines, strict=True):
            each["share"] = roofline.share
            for row, site in zip(each["sites"], roofline.sites, strict=True):
                row["share"] = site.share
        return document


@dataclass(frozen=True)
class OpRow:
    """The operator alone, in one way, at one shape.

    Attributes:
        shape: (N, C, H, W).
        precision: "fp32" or "fp16".
        way: A lowering's or kernel's name.
        taken_ms: The median of one operator; None where it could not be run.
        copy_ms: The median of a copy of the same map.
        ratio: How many times as fast as the copy: below 1.
        reason: Why it could not be run.
    """

    shape: tuple[int, ...]
    precision: str
    way: str
    taken_ms: float | None = None
    copy_ms: float | None = None
    ratio: Ratio | None = None
    reason: str = ""


@dataclass(frozen=True)
class OpsReport:
    """All that `simam-bench ops` says."""

    circumstances: Circumstances
    rows: tuple[OpRow, ...]
    starts: int = 0
    rounds: int = 0
    notes: tuple[str, ...] = field(default=())
    interrupted: bool = False
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Give the document that `simam-bench ops --json` prints; it holds no NaN."""
        document: dict[str, Any] = json_ready(asdict(self))
        return document
