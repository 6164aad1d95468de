"""Hold every SimAM gate of a low-precision graph against the formula, site by site.

Rounding grows with depth: the same correct float16 costs a preresnet56 9e-4 and a resnet152 5e-2.
So each site is judged by itself, on the map that the float32 network has there. The candidate's
nodes round as its graph says (`graph.precision.rounding`), and the gate is y / x.

The bound follows from the half type's unit eps (2^-10 or 2^-7). A site in float32 with one Cast
out rounds once, by at most half a unit: eps / 2 of y. A tenth of that is added for float32's own
errors, which are 1e-3 of it. Correct sites come to 0.50 units. One that computes in half rounds at
every node: 0.7 at the least where nothing overflows, 380 where it does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from simam_deploy import op
from simam_deploy.artifacts import GateCheck
from simam_deploy.errors import InputError
from simam_deploy.graph.precision import cut_islands, rounded, tap_sites, typed
from simam_deploy.graph.precision.formats import EPSILON, HALVES, SMALLEST_NORMAL
from simam_deploy.graph.recognise import Site
from simam_deploy.runtime.in_memory import run_model

Array = npt.NDArray[Any]
ALLOWED_ULPS = 0.55


@dataclass(frozen=True)
class SiteSample:
    """A site of the float32 network: its lambda and the map (N, C, H, W) that it was given."""

    name: str
    e_lambda: float
    x: Array


def record_sites(model: ir.Model, feeds: Mapping[str, Array]) -> tuple[SiteSample, ...]:
    """Run a float32 model of plain ops and keep the map that each SimAM is given.

    Args:
        model: It is used up.
        feeds: One array per input.

    Raises:
        InputError: There is no SimAM in it, or ONNX Runtime does not take it.
    """
    model = typed(model)
    sites = tap_sites(model)
    if not sites:
        raise InputError("the model has no SimAM whose gate could be checked")
    maps = run_model(model, feeds)
    pairs = zip(sites, maps, strict=True)
    return tuple(SiteSample(site.name, site.e_lambda, x) for site, x in pairs)


def check_gates(
    samples: Sequence[SiteSample],
    candidate: ir.Model,
    dtype: ir.DataType,
    feeds: Mapping[str, Array] | None = None,
) -> tuple[GateCheck, ...]:
    """Compute every site of `candidate` on the samples' maps, with its rounding.

    Args:
        samples: Of the float32 network, in the order of its graph.
        candidate: The converted graph, plain ops; it is used up.
        dtype: The half type whose unit the error is told in.
        feeds: The network's inputs, read where a site takes sizes from their Shape.

    Returns:
        One check a sample; a site that the candidate lacks fails.
    """
    candidate = typed(candidate)
    sites = cut_islands(candidate)
    if len(sites) != len(samples):
        reason = f"{len(sites)} SimAM sites, {len(samples)} were expected"
        return tuple(_failed(sample.name, reason) for sample in samples)
    maps = {f"x{i}": sample.x for i, sample in enumerate(samples)}
    given = {v.name: v.dtype for v in candidate.graph.inputs}
    held = [_as_given(x, given[name]) for name, x in maps.items()]
    ys = run_model(rounded(candidate), {**(feeds or {}), **maps})
    return tuple(_check(*each, dtype) for each in zip(samples, sites, held, ys, strict=True))


def _check(
    sample: SiteSample, site: Site, x: npt.NDArray[np.float64], y: Array, dtype: ir.DataType
) -> GateCheck:
    if y.shape != x.shape or not np.isfinite(y).all():
        bad = np.count_nonzero(~np.isfinite(y))
        return _failed(sample.name, f"{bad} of {y.size} values NaN or infinite, shape {y.shape}")
    expected = op.simam_gate(x, sample.e_lambda)
    seen = np.abs(x) >= 2 * SMALLEST_NORMAL[dtype]  # y = x * 0.6225 is then normal too
    if not seen.any():
        least = 2 * SMALLEST_NORMAL[dtype]
        return _failed(sample.name, f"the map stays below {least:.1g}: nothing can be compared")
    lambdas = (
        ""
        if math.isclose(site.e_lambda, sample.e_lambda, rel_tol=1e-5)
        else (f"lambda is {site.e_lambda:g}, the float32 network has {sample.e_lambda:g}")
    )
    return _compared(sample.name, y[seen] / x[seen], expected[seen], EPSILON[dtype], lambdas)


def _as_given(x: Array, dtype: ir.DataType | None) -> npt.NDArray[np.float64]:
    """Round a map as the candidate has it; what that costs is not the site's fault."""
    with np.errstate(over="ignore"):  # y is infinite then, and fails
        held = x.astype(dtype.numpy()) if dtype in HALVES and dtype is not None else x
    return held.astype(np.float64)


def _compared(name: str, gate: Array, expected: Array, epsilon: float, reason: str) -> GateCheck:
    floor, unit = op.GATE_FLOOR, epsilon * op.GATE_FLOOR
    at_floor = (gate <= floor + unit) & (expected > floor + 2 * unit)
    return GateCheck(
        name=name,
        gate=(float(gate.min()), float(gate.max())),
        expected=(float(expected.min()), float(expected.max())),
        cosine=_cosine(gate - floor, expected - floor),
        collapsed=float(at_floor.mean()),
        error_ulps=float(np.max(np.abs(gate / expected - 1)) / epsilon),
        allowed_ulps=ALLOWED_ULPS,
        reason=reason,
    )


def _cosine(a: Array, b: Array) -> float:
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.dot(a, b)) / norms if norms else float(np.array_equal(a, b))


def _failed(name: str, reason: str) -> GateCheck:
    nothing = (math.nan, math.nan)
    return GateCheck(name, nothing, nothing, math.nan, math.nan, math.nan, ALLOWED_ULPS, reason)
