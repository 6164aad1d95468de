"""What a model did, counted as Triton counts it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Duration:
    """How often something was done, and the nanoseconds it took together."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        """Count it."""
        self.count += count
        self.ns += ns


@dataclass(slots=True)
class Timing:
    """Nanoseconds on the clock at which a batch was taken, gathered, computed and split."""

    taken: int
    gathered: int
    computed: int
    split: int


@dataclass(slots=True)
class Statistics:
    """Written by the event loop alone, so without a lock.

    `inferences` counts rows, `executions` batches, the rest requests; `batches` has a Duration
    of computing for every batch size. A request that came to the queue counts once: `refused`
    where it was full, `success` where its result was handed out, else `fail`, be it that the
    model raised, that time ran out, or that nobody waits for it any more.
    """

    inferences: int = 0
    executions: int = 0
    last_ms: int = 0
    refused: int = 0
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    batches: dict[int, Duration] = field(default_factory=dict)

    def count_batch(self, rows: int, timing: Timing) -> None:
        """Count a run of the model."""
        self.inferences += rows
        self.executions += 1
        self.batches.setdefault(rows, Duration()).add(timing.computed - timing.gathered)

    def count_request(self, queued_at: int, timing: Timing, now: int) -> None:
        """Count one request whose result was handed out."""
        self.success.add(now - queued_at)
        self.queue.add(timing.taken - queued_at)
        self.compute_input.add(timing.gathered - timing.taken)
        self.compute_infer.add(timing.computed - timing.gathered)
        self.compute_output.add(timing.split - timing.computed)
