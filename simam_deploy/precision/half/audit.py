"""Where SimAM would leave the range of a half type, told from shapes and from a sample.

In float16 the largest number is 65504. With n = H*W - 1, a plane of standard deviation s has a sum
of squares n * s^2: it overflows from s = sqrt(65504 / n) on, n by itself from 65505 pixels on, and
one square from |x - mean| = 255.94 on. A sum that is infinite makes every gate 0.6225.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.core.inspection import PlaneRange, RangeFinding
from simam_deploy.graph.hazards import area_of
from simam_deploy.graph.recognise import Site, recognise
from simam_deploy.graph.types import HALVES, LARGEST

NEAR = 2.0
"""A margin below this is a warning."""


def measure(x: Array) -> PlaneRange:
    """Measure the planes of a feature map (N, C, H, W), in float64."""
    planes = x.astype(np.float64).reshape(*x.shape[:2], -1)
    pixels = planes.shape[-1]
    deviation = np.abs(planes - planes.mean(axis=-1, keepdims=True))
    std = np.sqrt(np.square(deviation).sum(axis=-1) / (pixels - 1))
    return PlaneRange(pixels, float(std.max()), float(deviation.max()))


def audit(
    model: ir.Model,
    dtype: ir.DataType = ir.DataType.FLOAT16,
    measured: Mapping[str, PlaneRange] | None = None,
) -> tuple[RangeFinding, ...]:
    """Judge every site of a graph, SimAM written in plain ops or as nodes.

    Args:
        model: In any precision.
        dtype: The half type that is asked about, for sites in float32.
        measured: What a sample showed, by site name.

    Returns:
        A finding a site. An error is an overflow of the graph as it stands: a site computed in
        half on planes that it cannot hold. A warning is a site that would come within a factor of
        two of that in half, or that is computed in half with nothing measured.
    """
    seen = measured or {}
    return tuple(_finding(s, dtype, seen.get(s.name)) for s in recognise(model).sites)


def _finding(site: Site, dtype: ir.DataType, seen: PlaneRange | None) -> RangeFinding:
    half = site.dtype in HALVES and not site.island and site.form != "function"
    kind = site.dtype if half and site.dtype is not None else dtype
    largest = LARGEST[kind]
    pixels = seen.pixels if seen else area_of(site)
    with np.errstate(over="ignore"):
        count = None if pixels is None else float(np.float64(pixels - 1).astype(kind.numpy()))
    finding = RangeFinding(
        name=site.name,
        pixels=pixels,
        std_limit=math.sqrt(largest / (pixels - 1)) if pixels and pixels > 1 else None,
        deviation_limit=math.sqrt(largest),
        count=count,
        island=not half,
        measured=seen,
        level="ok",
        reason="",
    )
    return _judged(finding, kind.name.lower())


def _judged(finding: RangeFinding, half: str) -> RangeFinding:
    """Set level and reason."""
    level, reason = _overflow(finding, half)
    if level and finding.island:
        level, reason = "warning", f"{reason}; the graph computes it in float32"
    elif not level and not finding.island:
        level, reason = _unproved(finding, half)
    return replace(finding, level=level or "ok", reason=reason)


def _overflow(finding: RangeFinding, half: str) -> tuple[str, str]:
    """Say what overflows in half arithmetic, or comes near it."""
    margin = finding.margin
    if finding.count is not None and math.isinf(finding.count):
        return "error", f"H*W - 1 = {(finding.pixels or 0) - 1} is infinite in {half}"
    if margin is None or finding.measured is None or margin > NEAR:
        return "", ""
    text = (
        f"plane std {finding.measured.std:.3g} of {finding.std_limit:.3g}, "
        f"|x - mean| {finding.measured.deviation:.3g} of {finding.deviation_limit:.3g} in {half}"
    )
    return ("error", f"overflow: {text}") if margin <= 1 else ("warning", f"near overflow: {text}")


def _unproved(finding: RangeFinding, half: str) -> tuple[str, str]:
    if finding.measured is not None:
        return "", ""
    limit = "unknown" if finding.std_limit is None else f"{finding.std_limit:.3g}"
    return "warning", f"computed in {half}: overflows from plane std {limit} on"
