"""How a candidate is held against a reference: the one choice of inputs and bounds, for everybody.

An export, a validation, an engine and a bisection ask here, by the precisions of the two models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from simam_deploy.errors import InputError
from simam_deploy.graph.types import HALF_TYPES
from simam_deploy.verify.cases import KINDS, Case, drawn_cases
from simam_deploy.verify.tolerance import CONVERTED, TOLERANCES, Tolerance


@dataclass(frozen=True)
class Rule:
    """What a candidate's outputs are judged by.

    Attributes:
        precision: The candidate's.
        tolerance: Bounds them.
        kinds: Of inputs that it is run on.
    """

    precision: str
    tolerance: Tolerance
    kinds: tuple[str, ...]

    def cases(
        self,
        shapes: Iterable[tuple[tuple[int, ...], ...]],
        preprocessing: Mapping[str, Any] | None = None,
    ) -> tuple[Case, ...]:
        """Draw every kind of input, at sets of full shapes, one shape per input."""
        return drawn_cases(shapes, self.kinds, preprocessing)


def rule_for(reference: str, candidate: str, given: float | None = None) -> Rule:
    """Choose by precision.

    Two models of one precision differ by what rounding is drawn anew; one that was made of a
    float32 model, by what its precision costs. The latter are spared large inputs, and so is
    half: it may overflow on them and be right, and int8 clips what its calibration never saw.

    Args:
        reference: A precision.
        candidate: Another, or the same.
        given: A bound that a user gave, in place of the derived one.

    Raises:
        InputError: They are of different precisions, and the reference is not float32.
    """
    if given is not None:
        derived = rule_for(reference, candidate)
        return replace(
            derived, tolerance=replace(derived.tolerance, floor=given, cap=given, given=True)
        )
    small = tuple(kind for kind in KINDS if kind != "large")
    if reference == candidate and candidate in TOLERANCES:
        kinds = small if candidate in HALF_TYPES else tuple(KINDS)
        return Rule(candidate, TOLERANCES[candidate], kinds)
    if reference == "fp32" and candidate in CONVERTED:
        return Rule(candidate, CONVERTED[candidate], small)
    raise InputError(f"a model in {candidate} cannot be held against one in {reference}")
