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


@dataclass(frozen=True)
class Tolerance:
    """Bounds an output's largest difference, relative to its largest magnitude.

    Correct runs differ by what the network makes of rounding: 3e-7 in a CIFAR network, 2.5e-4 in
    a resnet152 of drawn weights. So the bound is `factor` times the change that `unit`, by default
    one unit in the last place, drawn anew behind every layer, makes to this output; at least
    `floor`, at most `cap`. Correct exports of the published networks came to between 0.6 and 7
    times that change.
    """

    factor: float
    floor: float
    cap: float
    unit: str = "one unit of rounding behind every layer"

    def allowed(self, spread: float) -> float:
        """Give the bound for an output that rounding moves by `spread`."""
        return min(self.cap, max(self.floor, self.factor * spread))

    def __str__(self) -> str:
        """State the rule."""
        return (
            f"{self.factor:g} x what {self.unit} changes, "
            f"at least {self.floor:.0e}, at most {self.cap:.0e}"
        )


ROUNDED_LAYERS = "rounding every layer's result to that precision"
TOLERANCES = {
    "fp32": Tolerance(factor=16, floor=5e-6, cap=1e-3),
    "fp16": Tolerance(factor=16, floor=4e-3, cap=5e-2),
    "bf16": Tolerance(factor=16, floor=3e-2, cap=1e-1),
}
"""By precision, of a model that stays in it; a half's floor is four units in its last place."""
CONVERTED = {
    "fp16": Tolerance(factor=4, floor=4e-3, cap=0.2, unit=ROUNDED_LAYERS),
    "bf16": Tolerance(factor=4, floor=3e-2, cap=0.5, unit=ROUNDED_LAYERS),
    "int8": Tolerance(factor=16, floor=0.15, cap=0.15),
}
"""Of a float32 model made half or int8. Correct conversions of the published networks to half came
to between 0.8 and 2.1 times what rounding their layers alone costs; the caps are what a resnet152
of drawn weights comes near to. Faults that so wide a bound would hide are found layer by layer and
gate by gate. What int8 costs depends on its calibration: its bound tells a wreck from a network,
and agreement on data tells the rest."""


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


def cases_for(
    shapes: Iterable[tuple[tuple[int, ...], ...]], precision: str = "fp32"
) -> tuple[Case, ...]:
    """Cross every kind of input with every set of full shapes, one shape per input.

    A model in half precision is spared the large inputs: it may overflow on them and be right.
    """
    kinds = KINDS if precision == "fp32" else KINDS.keys() - {"large"}
    return tuple(Case(kind, each) for kind, each in itertools.product(sorted(kinds), shapes))


@dataclass(frozen=True)
class Recording:
    """A reference runner's outputs, kept so that its model can be freed before the next loads.

    `spread` is, by output, the largest relative change over all cases that rounding makes.
    """

    reference: str
    outputs: Mapping[Case, Mapping[str, Array]]
    spread: Mapping[str, float]


def record(reference: Runner, shaken: Runner, cases: Iterable[Case]) -> Recording:
    """Run every case in the reference, and in the same model with its rounding disturbed.

    Args:
        reference: The model that is right by definition.
        shaken: The same model, its layers' outputs each off by up to a unit in the last place.
        cases: The inputs.
    """
    outputs: dict[Case, Mapping[str, Array]] = {}
    spread: dict[str, float] = {}
    for case in cases:
        feeds = case.feeds(reference.inputs)
        outputs[case] = reference.run(feeds)
        for name, moved in shaken.run(feeds).items():
            _, change = difference(outputs[case][name], moved)
            spread[name] = max(spread.get(name, 0.0), change)
    return Recording(reference.name, outputs, spread)


def compare(
    recording: Recording,
    runner: Runner,
    precision: str = "fp32",
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
) -> ValidationReport:
    """Run every recorded case in `runner` and compare each output.

    Args:
        recording: The reference.
        runner: The candidate; its inputs and outputs bear the reference's names.
        precision: Key of `tolerances`.
        tolerances: `TOLERANCES`, or `CONVERTED` where the reference is float32.

    Returns:
        The report; it fails on any NaN or infinity, missing output, shape or bound.
    """
    tolerance = tolerances[precision]
    results = []
    for case, expected in recording.outputs.items():
        got = runner.run(case.feeds(runner.inputs))
        for name, array in expected.items():
            allowed = tolerance.allowed(recording.spread[name])
            results.append(_compare_output(case.name, name, array, got.get(name), allowed))
    names = recording.reference, runner.name
    return ValidationReport(*names, precision, str(tolerance), tuple(results))


def difference(expected: Array, got: Array) -> tuple[float, float]:
    """Give the largest difference, and the same over the largest magnitude expected."""
    reference = expected.astype(np.float64)
    max_abs = float(np.max(np.abs(got.astype(np.float64) - reference), initial=0.0))
    largest = float(np.max(np.abs(reference), initial=0.0))
    return max_abs, max_abs / largest if largest else max_abs


def _compare_output(
    case: str, name: str, expected: Array, got: Array | None, allowed: float
) -> CaseResult:
    reason = _incomparable(expected, got)
    if reason or got is None:
        return CaseResult(case, name, float("nan"), float("nan"), allowed, reason)
    return CaseResult(case, name, *difference(expected, got), allowed)


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
