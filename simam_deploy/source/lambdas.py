"""SimAM's lambda: what a user says, else the file, else what was published."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simam_deploy.core.specs import SimamSite
from simam_deploy.errors import CheckpointError, UsageError
from simam_deploy.models.zoo import Family, Network
from simam_deploy.source.stated.record import Said, shown


@dataclass(frozen=True)
class Lambda:
    """SimAM's regulariser and where it was found."""

    value: float
    source: str


def choose_lambda(option: float | None, said: Sequence[Said], family: Family, file: str) -> Lambda:
    """Take the option's lambda, else the file's or its folder's, else the published one.

    A wrong lambda shows in no shape and no key, so two places that disagree are an error.

    Args:
        option: The option's.
        said: What the file and names say.
        family: Of the network.
        file: The file's name, for the error.

    Raises:
        UsageError: The option is no finite number >= 0.
        CheckpointError: The file has no such number, or two, and there is no option.
    """
    if option is not None:
        if not (math.isfinite(option) and option >= 0):
            raise UsageError(
                f"lambda must be a finite number >= 0, got {option}", options=("e_lambda",)
            )
        return Lambda(option, "given")
    if not said:
        return Lambda(family.e_lambda, f"assumed: the value published for {family.title}")
    _check(said, file)
    return Lambda(said[0].value, said[0].where)


def lambda_of(
    network: Network, family: Family, option: float | None, said: Sequence[Said], file: str
) -> Lambda | None:
    """Choose lambda as `choose_lambda` does; None for a network without SimAM.

    Raises:
        UsageError: It has no SimAM, and the option says a lambda; or as `choose_lambda`.
        CheckpointError: As `choose_lambda`.
    """
    if network.attention == "simam":
        return choose_lambda(option, said, family, file)
    if option is not None:
        raise UsageError(
            f"{network.title} has no SimAM, and so no lambda: leave it out", options=("e_lambda",)
        )
    return None


def _check(said: Sequence[Said], file: str) -> None:
    for one in said:
        if isinstance(one.value, str):
            raise CheckpointError(
                f"{file}: has {one.value} for lambda, {one.where}, where a finite number >= 0 is "
                "wanted: say the right one",
                options=("e_lambda",),
            )
    if len(said) > 1:
        first, other = said[:2]
        raise CheckpointError(
            f"{file}: has two values of lambda: {first.value:g}, {first.where}, and "
            f"{other.value:g}, {other.where}: say which",
            options=("e_lambda",),
        )


def refuse_lambda(option: float | None) -> None:
    """Refuse to be told lambda for a network whose own code has it.

    Raises:
        UsageError: It is told.
    """
    if option is not None:
        raise UsageError(
            "the network has its lambda in its own code: leave it out, or change it there",
            options=("e_lambda",),
        )


def no_gates(network: Network) -> Iterator[str]:
    """Note that a network has no SimAM, where it has none."""
    if network.attention != "simam":
        yield f"{network.title} has no SimAM: no gate is judged"


def without_simam(network: Network, said: Sequence[Said]) -> Iterator[str]:
    """Say where a file has a lambda, and its network is taken for one without SimAM."""
    for one in said:
        if network.attention != "simam":
            yield f"{one.where} says lambda {shown(one.value)}, and {network.title} has no SimAM"


def contradicted_lambda(option: float | None, said: Sequence[Said]) -> Iterator[str]:
    """Say where a file has another lambda than a user."""
    for one in said:
        if option is not None and not _is_among(one, [option]):
            yield f"lambda {option:g} was given, and {one.where} says {shown(one.value)}"


def other_lambdas(sites: Sequence[SimamSite], said: Sequence[Said]) -> Iterator[str]:
    """Say where a file has a lambda that no SimAM of the network has: its code was another."""
    values = [site.e_lambda for site in sites]
    for one in said:
        if not _is_among(one, values):
            have = ", ".join(f"{value:g}" for value in sorted(set(values))[:4])
            yield (
                f"{one.where} says lambda {shown(one.value)}, and the network's SimAM have {have}: "
                "unless its code sets it elsewhere, it was trained as another network"
            )


def _is_among(one: Said, values: Sequence[float]) -> bool:
    return any(
        isinstance(one.value, float) and math.isclose(one.value, value, rel_tol=1e-6)
        for value in values
    )
