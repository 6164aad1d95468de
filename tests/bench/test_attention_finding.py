"""The published claim is held against figures whichever way they fall."""

from __future__ import annotations

import pytest

from simam_deploy.bench.attention import AttentionRow, finding
from simam_deploy.bench.records import Ratio
from simam_deploy.models.attention.kinds import AttentionName


def row(attention: AttentionName, launches: int | None, *ends: tuple[float, float]) -> AttentionRow:
    """A row whose speed over SimAM's lies between these ends, a pair a batch."""
    ratios = tuple(
        (batch, Ratio((low * high) ** 0.5, low, high, "processor", 5))
        for batch, (low, high) in enumerate(ends)
    )
    return AttentionRow("net", attention, 1, 0, 1, "ok", launches=launches, to_simam=ratios)


# Ends above 1: the other was the faster one.
@pytest.mark.parametrize(
    ("other", "ends", "verdict"),
    [
        ("se", [(0.7, 0.8), (0.8, 0.95)], "SE: holds: faster in 2, not told apart in 0, slower in"),
        ("se", [(0.9, 1.1), (0.8, 0.95)], "SE: is not contradicted: faster in 1, not told apart i"),
        ("se", [(0.9, 1.1), (1.01, 1.2)], "SE: does not hold: faster in 0, not told apart in 1, s"),
        ("cbam", [(0.7, 0.8), (0.8, 0.95)], "CBAM: holds: faster in 2"),
        ("cbam", [(0.7, 0.8), (0.9, 1.1)], "CBAM: is not shown: faster in 1"),
        ("srm", [(0.7, 0.8), (1.1, 1.2)], "SRM: does not hold: faster in 1"),
    ],
)
def test_onnx_runtimes_verdict(other, ends, verdict) -> None:
    (line,) = finding([row("simam", None), row(other, None, *ends)])
    assert line.startswith("ONNX Runtime: SimAM ")
    assert verdict in line


def test_the_range_is_of_simams_speed() -> None:
    (line,) = finding([row("simam", None), row("eca", None, (2.0, 2.0), (0.5, 0.5))])
    assert line.endswith("0.50 to 2.00 times as fast")


def test_launches_are_compared_in_each_backbone() -> None:
    lines = list(finding([row("simam", 20), row("se", 20), row("cbam", 19), row("gc", 5)]))
    assert lines == [
        "TensorRT-RTX: SimAM as fast as SE, by launches: no more of them in 1 of 1 backbones",
        "TensorRT-RTX: SimAM faster than CBAM, by launches: no more of them in 0 of 1 backbones",
    ]
    assert not list(finding([row("se", 20)]))
