"""Hold one runner against another, case by case, output by output."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simam_deploy.artifacts import CaseResult, TensorSpec, ValidationReport
from simam_deploy.runtime.protocol import Runner

Array = npt.NDArray[Any]

TOLERANCE = {"fp32": 1e-4}
"""Largest difference allowed, relative to the output's largest magnitude, per precision.

fp32: two correct runs of the deepest published network (resnet152, random weights) differ by
3e-5; a lambda of 1e-4 taken for 0.1 moves the digits model's logits by more than 1e-2.
"""


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def _large(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return 100.0 * rng.standard_normal(shape)


def _constant_planes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One value per plane: the variance that SimAM divides by comes near zero."""
    per_plane = shape[:2] + (1,) * (len(shape) - 2)
    return np.broadcast_to(rng.standard_normal(per_plane), shape)


KINDS: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": _normal,
    "large": _large,
    "constant": _constant_planes,
}


@dataclass(frozen=True)
class Case:
    """A seeded input that is made anew whenever it is needed, so that none is held."""

    kind: str
    shapes: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        """Read as `normal 3x3x224x224`."""
        return f"{self.kind} {', '.join('x'.join(map(str, s)) for s in self.shapes)}"

    def feeds(self, specs: Iterable[TensorSpec]) -> dict[str, Array]:
        """Make one array per input spec, in the spec's dtype; the case's name is the seed."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        make = KINDS[self.kind]
        return {
            spec.name: np.ascontiguousarray(make(rng, shape).astype(spec.dtype))
            for spec, shape in zip(specs, self.shapes, strict=True)
        }


def cases_for(shapes: Iterable[tuple[int, ...]]) -> tuple[Case, ...]:
    """Cross every kind of input with every full shape of a single-input model."""
    return tuple(Case(kind, (shape,)) for kind, shape in itertools.product(KINDS, shapes))


@dataclass(frozen=True)
class Recording:
    """A reference runner's outputs, kept so that its model can be freed before the next loads."""

    reference: str
    outputs: Mapping[Case, Mapping[str, Array]]


def record(runner: Runner, cases: Iterable[Case]) -> Recording:
    """Run every case once."""
    return Recording(runner.name, {case: runner.run(case.feeds(runner.inputs)) for case in cases})


def compare(recording: Recording, runner: Runner, precision: str = "fp32") -> ValidationReport:
    """Run every recorded case in `runner` and compare each output.

    Args:
        recording: The reference.
        runner: The candidate; its inputs and outputs bear the reference's names.
        precision: Key of `TOLERANCE`.

    Returns:
        The report; it fails on any NaN or infinity, missing output, shape or tolerance.
    """
    tolerance = TOLERANCE[precision]
    results = []
    for case, expected in recording.outputs.items():
        got = runner.run(case.feeds(runner.inputs))
        results += [
            compare_output(case.name, name, array, got.get(name), tolerance)
            for name, array in expected.items()
        ]
    return ValidationReport(recording.reference, runner.name, precision, tolerance, tuple(results))


def compare_output(
    case: str, name: str, expected: Array, got: Array | None, tolerance: float
) -> CaseResult:
    """Compare one output; see `CaseResult` for the measures."""
    reason = _incomparable(expected, got)
    if reason or got is None:
        return CaseResult(case, name, float("nan"), float("nan"), False, reason)
    reference = expected.astype(np.float64)
    max_abs = float(np.max(np.abs(got.astype(np.float64) - reference), initial=0.0))
    largest = float(np.max(np.abs(reference), initial=0.0))
    max_rel = max_abs / largest if largest else max_abs
    return CaseResult(case, name, max_abs, max_rel, max_rel <= tolerance)


def _incomparable(expected: Array, got: Array | None) -> str:
    """Say why two outputs cannot be compared, or nothing."""
    if got is None:
        return "output missing"
    if got.shape != expected.shape:
        return f"shape {got.shape}, expected {expected.shape}"
    for whose, array in (("reference", expected), ("candidate", got)):
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            return f"{bad} of {array.size} values of the {whose} are NaN or infinite"
    return ""
