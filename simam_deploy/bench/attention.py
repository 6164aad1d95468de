"""What the table of attention modules says: rows, and the published claim held against them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from simam_deploy.bench.records import BatchRow, Circumstances, Ratio
from simam_deploy.core.validation import json_ready
from simam_deploy.models.attention.kinds import KINDS, AttentionName

NO_SLOWER: tuple[AttentionName, ...] = ("se", "eca")
FASTER: tuple[AttentionName, ...] = ("cbam", "srm")
"""Whom SimAM is claimed to be as fast as, and faster than (Yang et al., ICML 2021)."""


@dataclass(frozen=True)
class AttentionRow:
    """A backbone with one attention, exported and measured.

    Attributes:
        backbone: Its name in `NETWORKS`.
        attention: What its blocks have.
        parameters: Trained numbers.
        added: How many of them the attention has.
        flops: Of convolutions and matrix products for one input.
        export: "ok", or why there is no file.
        size: Of the .onnx, in bytes.
        launches: Kernels of a TensorRT-RTX plan, None where there is none.
        peak_memory: The most that a process running it held resident, in bytes.
        batches: Times at each batch; ratios are to the backbone without attention.
        to_simam: How many times as fast as SimAM it is, by batch.
        notes: What a reader should know.
    """

    backbone: str
    attention: AttentionName
    parameters: int
    added: int
    flops: int
    export: str
    size: int | None = None
    launches: int | None = None
    peak_memory: int | None = None
    batches: tuple[BatchRow, ...] = ()
    to_simam: tuple[tuple[int, Ratio], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttentionReport:
    """All that `simam-bench attention` says."""

    circumstances: Circumstances
    rows: tuple[AttentionRow, ...]
    starts: int
    rounds: int
    interrupted: bool = False
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Give the document that `simam-bench attention --json` prints; it holds no NaN."""
        document: dict[str, Any] = json_ready(asdict(self))
        return {**document, "finding": list(finding(self.rows))}


def finding(rows: Sequence[AttentionRow]) -> Iterator[str]:
    """Hold the claim against what was measured, whichever way it falls.

    Of each other module there is a line for ONNX Runtime, which counts the comparisons in which
    SimAM was faster, was not told apart (the interval holds 1), and was slower; and one for plans.
    """
    for other in (*NO_SLOWER, *FASTER):
        claim = "as fast as" if other in NO_SLOWER else "faster than"
        ratios = [r for row in rows if row.attention == other for _, r in row.to_simam]
        if ratios:
            held = _held(other, ratios)
            yield f"ONNX Runtime: SimAM {claim} {KINDS[other].title}: {held}"
        pairs = list(_launches(rows, other))
        if pairs:
            fewer = sum(ours <= theirs for ours, theirs in pairs)
            yield (
                f"TensorRT-RTX: SimAM {claim} {KINDS[other].title}, by launches: no more of them "
                f"in {fewer} of {len(pairs)} backbones"
            )


def _held(other: AttentionName, ratios: Sequence[Ratio]) -> str:
    """Word a verdict on ratios of the other's speed to SimAM's."""
    slower = sum(r.differs and r.value > 1 for r in ratios)
    faster = sum(r.differs and r.value < 1 for r in ratios)
    unknown = len(ratios) - faster - slower
    doubtful = "is not shown" if other in FASTER else "is not contradicted"
    verdict = "does not hold" if slower else doubtful if unknown else "holds"
    speeds = sorted(1 / r.value for r in ratios)
    return (
        f"{verdict}: faster in {faster}, not told apart in {unknown}, slower in {slower} of "
        f"{len(ratios)}; {speeds[0]:.2f} to {speeds[-1]:.2f} times as fast"
    )


def _launches(rows: Sequence[AttentionRow], other: AttentionName) -> Iterator[tuple[int, int]]:
    """Give SimAM's launches and the other's, of each backbone that has both."""
    known = {(row.backbone, row.attention): row.launches for row in rows}
    for (backbone, attention), theirs in known.items():
        ours = known.get((backbone, "simam"))
        if attention == other and ours is not None and theirs is not None:
            yield ours, theirs
