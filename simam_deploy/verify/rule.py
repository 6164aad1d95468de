"""How a candidate is held against a reference: the one choice of inputs and bounds, for everybody.

An export, a validation, an engine and a bisection ask here, by the precisions of the two models.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from simam_deploy.errors import InputError
from simam_deploy.graph.types import HALF_TYPES
from simam_deploy.verify.cases import KINDS, Case, cases_for
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

    def cases(self, shapes: Iterable[tuple[tuple[int, ...], ...]]) -> tuple[Case, ...]:
        """Cross the kinds of inputs with sets of full shapes, one shape per input."""
        return cases_for(shapes, self.kinds)


def rule_for(reference: str, candidate: str) -> Rule:
    """Choose by precision.

    Two models of one precision differ by what rounding is drawn anew; one that was made of a
    float32 model, by what its precision costs. The latter are spared large inputs, and so is
    half: it may overflow on them and be right, and int8 clips what its calibration never saw.

    Raises:
        InputError: They are of different precisions, and the reference is not float32.
    """
    small = tuple(kind for kind in KINDS if kind != "large")
    if reference == candidate and candidate in TOLERANCES:
        kinds = small if candidate in HALF_TYPES else tuple(KINDS)
        return Rule(candidate, TOLERANCES[candidate], kinds)
    if reference == "fp32" and candidate in CONVERTED:
        return Rule(candidate, CONVERTED[candidate], small)
    raise InputError(f"a model in {candidate} cannot be held against one in {reference}")
