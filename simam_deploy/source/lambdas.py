"""SimAM's lambda, and where it was found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simam_deploy.errors import UsageError
from simam_deploy.models.zoo import Family

if TYPE_CHECKING:
    from simam_deploy.source.checkpoint import Checkpoint


@dataclass(frozen=True)
class Lambda:
    """SimAM's regulariser and where it was found."""

    value: float
    source: str


def choose_lambda(option: float | None, checkpoint: Checkpoint, family: Family) -> Lambda:
    """Take the option's lambda, else the file's or its folder's, else the published one.

    Raises:
        UsageError: The option is no finite number >= 0.
    """
    if option is not None:
        if not (math.isfinite(option) and option >= 0):
            raise UsageError(
                f"lambda must be a finite number >= 0, got {option}", options=("e_lambda",)
            )
        return Lambda(option, "given")
    if checkpoint.e_lambda is not None:
        return Lambda(checkpoint.e_lambda, checkpoint.e_lambda_source or "file")
    return Lambda(family.e_lambda, f"assumed: the value published for {family.title}")
