"""Hold every SimAM gate of a low-precision graph against the formula, site by site.

Rounding grows with depth: the same correct float16 costs a preresnet56 9e-4 and a resnet152 5e-2.
So each site is judged by itself, on the map that the float32 network has there. The candidate's
nodes round as its graph says (`precision.rounding`), and the gate is y / x.

The bound follows from the type's unit eps (2^-10, 2^-7, or float32's 2^-23). A site in float32 with
one Cast out rounds once, by at most half a unit: eps / 2 of y. A tenth of that is added for
float32's own errors, which are 1e-3 of it. Correct sites come to 0.50 units. One that computes in
half rounds at every node: 0.7 at the least where nothing overflows, 380 where it does.

Float32's own errors are a few units, and more where a plane lies far from zero. With d = x - mean
off by k, and s = 1 / (4 (variance + lambda)), the gate's argument E + 0.5, E = s d^2, is off by
2 sqrt(s E) k + s k^2, and the gate by (1 - gate) of that, relatively: at most 0.36 sqrt(s) k +
0.38 s k^2. k is 11 units of the mean (measured: at most 7 where the mean is taken over W, then over
H); and where a runtime sums the plane in one run, twice what a float32 sum over this very
plane loses: 7e-4 at 512 x 512. A variance off by a fraction v moves the gate by 0.28 v. 8 units are
added for the rest (0.5 to 4 on planes about zero).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.validation import GateCheck
from simam_deploy.errors import InputError
from simam_deploy.graph.file.typed import with_types
from simam_deploy.graph.recognise import Site
from simam_deploy.graph.types import EPSILON, HALVES, SMALLEST_NORMAL
from simam_deploy.op import contract
from simam_deploy.precision.half.islands import cut_islands
from simam_deploy.precision.rounding import rounded
from simam_deploy.precision.taps import SiteSample
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.protocol import Closing, Runner

ALLOWED_ULPS = 0.55
"""In units of a half type."""


_OWN_ULPS, _MEAN_ULPS = 8.0, 11.0
_LANES, _RUNS = 16, 2.0
"""Numbers that are added abreast here; ONNX Runtime adds 8, twice as many in a run."""
_FAINT = 64
"""Times the smallest normal number: pixels of a plane differ by about as much."""


NOTHING_SHOWN = "the map is zero throughout: nothing can be compared"


class GateChecker(Closing):
    """The SimAM sites of a candidate, cut out, each to be run on the reference's map.

    Args:
        candidate: Plain ops, in any precision; it is used up.
        dtype: The type whose unit errors are told in.
    """

    def __init__(self, candidate: ir.Model, dtype: ir.DataType) -> None:
        candidate = with_types(candidate)
        self._dtype = dtype
        self._sites = cut_islands(candidate)
        self._given = {v.name: v.dtype for v in candidate.graph.inputs}
        self._runner = run_graph(rounded(candidate)) if self._sites else None

    def check(
        self, samples: Sequence[SiteSample], feeds: Feeds | None = None
    ) -> tuple[GateCheck, ...]:
        """Compute every site on the samples' maps.

        Args:
            samples: Of the float32 network, in the order of its graph.
            feeds: The network's inputs, read where a site takes sizes from their Shape.

        Returns:
            One check a sample, in their order; a site that the candidate lacks fails.
        """
        if self._runner is None or len(self._sites) != len(samples):
            return _all_failed(
                samples, f"{len(self._sites)} SimAM sites, {len(samples)} were expected"
            )
        samples = [_lifted(sample, self._dtype) for sample in samples]
        order = self._partners(samples)
        maps = {f"x{order[i]}": sample.x for i, sample in enumerate(samples)}
        try:
            ys = _run(self._runner, {**(feeds or {}), **maps})
        except InputError as error:  # a map of another shape than the site's
            return _all_failed(samples, str(error))
        return tuple(
            _check(
                sample,
                self._sites[i],
                _as_given(sample.x, self._given[f"x{i}"]),
                ys[i],
                self._dtype,
            )
            for sample, i in zip(samples, order, strict=True)
        )

    def _partners(self, samples: Sequence[SiteSample]) -> list[int]:
        """Give each sample's site: that of its name where all names agree, else by position."""
        names = [site.name for site in self._sites]
        if sorted(names) == sorted(sample.name for sample in samples):
            return [names.index(sample.name) for sample in samples]
        return list(range(len(samples)))

    def close(self) -> None:
        """Free the sites."""
        if self._runner is not None:
            self._runner.close()


def check_gates(
    samples: Sequence[SiteSample],
    candidate: ir.Model,
    dtype: ir.DataType,
    feeds: Feeds | None = None,
) -> tuple[GateCheck, ...]:
    """Check one recording; see `GateChecker` for arguments and result."""
    with GateChecker(candidate, dtype) as checker:
        return checker.check(samples, feeds)


def worst_of(checks: Sequence[GateCheck]) -> GateCheck:
    """Sum up the checks of one site on several inputs.

    A map of zeros shows nothing, which counts only where all of them are.
    """
    shown = [check for check in checks if check.reason != NOTHING_SHOWN] or list(checks)
    worst = max(shown, key=_over_bound)
    if math.isnan(worst.error_ulps):
        return worst
    return replace(
        worst,
        gate=_hull([check.gate for check in shown]),
        expected=_hull([check.expected for check in shown]),
        cosine=min(check.cosine for check in shown),
        collapsed=max(check.collapsed for check in shown),
        reason=next((check.reason for check in shown if check.reason), ""),
    )


def _lifted(sample: SiteSample, dtype: ir.DataType) -> SiteSample:
    """Scale a map that is next to zero, by a power of two, to one that the type resolves.

    An untrained network's maps fade from layer to layer. Any map shows the site's arithmetic; one
    below the type's normal numbers shows their spacing.
    """
    largest = float(np.max(np.abs(sample.x), initial=0.0))
    if not 0 < largest < _FAINT * SMALLEST_NORMAL[dtype]:
        return sample
    return replace(sample, x=np.ldexp(sample.x, -math.frexp(largest)[1]))


def _over_bound(check: GateCheck) -> float:
    return math.inf if math.isnan(check.error_ulps) else check.error_ulps / check.allowed_ulps


def _hull(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _run(runner: Runner, feeds: Feeds) -> list[Array]:
    """Run a model; feeds that it has no input for are left out."""
    return list(runner.run({spec.name: feeds[spec.name] for spec in runner.inputs}).values())


def _check(
    sample: SiteSample, site: Site, x: npt.NDArray[np.float64], y: Array, dtype: ir.DataType
) -> GateCheck:
    if y.shape != x.shape or not np.isfinite(y).all():
        bad = np.count_nonzero(~np.isfinite(y))
        return failed(sample.name, f"{bad} of {y.size} values NaN or infinite, shape {y.shape}")
    expected = contract.simam_gate(x, sample.e_lambda)
    seen = np.abs(x) >= 2 * SMALLEST_NORMAL[dtype]  # y = x * 0.6225 is then normal too
    if not seen.any():
        return failed(sample.name, NOTHING_SHOWN)
    lambdas = (
        ""
        if math.isclose(site.e_lambda, sample.e_lambda, rel_tol=1e-5)
        else (f"lambda is {site.e_lambda:g}, the float32 network has {sample.e_lambda:g}")
    )
    check = _compared(sample.name, y[seen] / x[seen], expected[seen], EPSILON[dtype])
    return replace(check, reason=lambdas, allowed_ulps=_allowed(x, site, dtype))


def _allowed(x: npt.NDArray[np.float64], site: Site, dtype: ir.DataType) -> float:
    """Give the bound, in the type's units."""
    own = _float32_ulps(x, site.e_lambda, summed_at_once(site))
    if dtype not in HALVES:
        return own
    return max(ALLOWED_ULPS, 0.5 + own * EPSILON[ir.DataType.FLOAT] / EPSILON[dtype])


def summed_at_once(site: Site) -> bool:
    """Tell whether a site sums a plane in one run, not over W and then over what is left."""
    means = [node for node in site.nodes if node.op_type in ("ReduceMean", "ReduceSum")]
    behind = {value for node in means for value in node.outputs}
    first = [node for node in means if node.inputs[0] not in behind]
    return not first or len(means) < 2 * len(first)


def _float32_ulps(x: npt.NDArray[np.float64], e_lambda: float, at_once: bool) -> float:
    """Allow for what a site in float32 is off by, on its worst plane."""
    eps = EPSILON[ir.DataType.FLOAT]
    planes = x.reshape(x.shape[0] * x.shape[1], -1)
    scale = 0.25 / (planes.var(axis=-1, ddof=1) + max(e_lambda, 1e-12))
    lost, lost2 = _lost_in_a_run(planes) if at_once else (0.0, 0.0)
    off = np.abs(planes.mean(axis=-1)) * _MEAN_ULPS * eps + _RUNS * lost
    centre = 0.36 * np.sqrt(scale) * off + 0.38 * scale * off**2
    return _OWN_ULPS + float(np.max(centre + 0.28 * _RUNS * lost2)) / eps


def _lost_in_a_run(planes: npt.NDArray[np.float64]) -> tuple[Array, Array]:
    """Give what a float32 sum over each plane, 16 numbers abreast, loses of mean and variance."""
    mean = planes.mean(axis=-1, keepdims=True)
    squares = (planes - mean) ** 2
    spread = np.maximum(squares.mean(axis=-1), np.finfo(np.float32).tiny)
    return _run_error(planes), _run_error(squares) / spread


def _run_error(planes: npt.NDArray[np.float64]) -> Array:
    whole = planes[:, : planes.shape[1] // _LANES * _LANES]
    if not whole.size:
        return np.zeros(len(planes))
    abreast = whole.astype(np.float32).reshape(len(planes), -1, _LANES)
    summed = abreast.sum(axis=1).sum(axis=-1, dtype=np.float64)
    error: Array = np.abs(summed - abreast.sum(axis=(1, 2), dtype=np.float64)) / planes.shape[1]
    return error


def _as_given(x: Array, dtype: ir.DataType | None) -> npt.NDArray[np.float64]:
    """Round a map as the candidate has it; what that costs is not the site's fault."""
    with np.errstate(over="ignore"):  # y is infinite then, and fails
        held = x.astype(dtype.numpy()) if dtype in HALVES and dtype is not None else x
    return held.astype(np.float64)


def _compared(name: str, gate: Array, expected: Array, epsilon: float) -> GateCheck:
    floor, unit = contract.GATE_FLOOR, epsilon * contract.GATE_FLOOR
    at_floor = (gate <= floor + unit) & (expected > floor + 2 * unit)
    return GateCheck(
        name=name,
        gate=(float(gate.min()), float(gate.max())),
        expected=(float(expected.min()), float(expected.max())),
        cosine=_cosine(gate - floor, expected - floor),
        collapsed=float(at_floor.mean()),
        error_ulps=float(np.max(np.abs(gate / expected - 1)) / epsilon),
        allowed_ulps=ALLOWED_ULPS,
    )


def _cosine(a: Array, b: Array) -> float:
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.dot(a, b)) / norms if norms else float(np.array_equal(a, b))


def failed(name: str, reason: str) -> GateCheck:
    """Give the check of a site that could not be compared."""
    nothing = (math.nan, math.nan)
    return GateCheck(name, nothing, nothing, math.nan, math.nan, math.nan, ALLOWED_ULPS, reason)


def _all_failed(samples: Sequence[SiteSample], reason: str) -> tuple[GateCheck, ...]:
    return tuple(failed(sample.name, reason) for sample in samples)
