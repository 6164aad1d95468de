"""From a file on disk to the network in it, with lambda and input decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simam_deploy.errors import InputError
from simam_deploy.plan import InputPlan, Lambda, choose_lambda, fit_names, plan_input

if TYPE_CHECKING:
    from torch import nn

    from simam_deploy.checkpoint import Checkpoint
    from simam_deploy.models.identify import Identity


@dataclass(frozen=True)
class Subject:
    """A loaded network, which holds the weights, and every fact about where it comes from."""

    model: nn.Module
    identity: Identity
    e_lambda: Lambda
    plan: InputPlan
    smallest: tuple[int, ...]
    output_names: tuple[str, ...]
    source: dict[str, Any]
    notes: tuple[str, ...]


def load_subject(
    source: Path,
    *,
    arch: str | None,
    e_lambda: float | None,
    dynamic: str | None,
    input_shape: Sequence[int] | None,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    trust_pickle: bool,
) -> Subject:
    """Read, identify and build; the arguments are those of `simam_deploy.export_onnx`.

    Raises:
        CheckpointError: The file holds no usable weights.
        NetworkError: The weights fit no known SimAM network.
        UsageError: An option does not fit the network.
        InputError: The input would reach a SimAM as a single pixel.
    """
    from simam_deploy.checkpoint import load_checkpoint
    from simam_deploy.models.build import build
    from simam_deploy.models.identify import identify

    checkpoint = load_checkpoint(source, trust_pickle=trust_pickle, seek_lambda=e_lambda is None)
    identity = identify({k: tuple(v.shape) for k, v in checkpoint.weights.items()}, arch)
    family = identity.network.family
    chosen = choose_lambda(e_lambda, checkpoint, family)
    plan = plan_input(family, dynamic, input_shape, input_names)
    model = build(identity, checkpoint.weights, chosen.value)
    return Subject(
        model=model,
        identity=identity,
        e_lambda=chosen,
        plan=plan,
        smallest=_smallest_workable(model, plan),
        output_names=fit_names(output_names, family.output_names, "--output-names"),
        source=_origin(checkpoint),
        notes=_notes(checkpoint, identity),
    )


def _smallest_workable(model: nn.Module, plan: InputPlan) -> tuple[int, ...]:
    """Give the smallest full shape whose SimAM sites all see more than one pixel.

    Raises:
        InputError: The planned shape is smaller; names the first site that it starves.
    """
    from simam_deploy.models.geometry import simam_shapes, smallest_input

    smallest = smallest_input(model, plan.shape, plan.spatial)
    for site, shape in simam_shapes(model, plan.shape).items():
        if shape[2] * shape[3] < 2:
            raise InputError(
                f"input {_by(plan.shape)} reaches SimAM {site} as a {_by(shape[2:])} map, where "
                f"its formula divides by zero; the smallest workable input is {_by(smallest)}"
            )
    return smallest


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _origin(checkpoint: Checkpoint) -> dict[str, Any]:
    """Give what a manifest says of the checkpoint; its name alone, for folders are private."""
    return {
        "file": checkpoint.path.name,
        "sha256": checkpoint.sha256,
        "size": checkpoint.size,
        "entry": checkpoint.entry,
    }


def _notes(checkpoint: Checkpoint, identity: Identity) -> tuple[str, ...]:
    """List what was stripped, converted or left out on the way."""
    if not identity.dropped:
        return checkpoint.notes
    first = ", ".join(identity.dropped[:2])
    return (*checkpoint.notes, f"{len(identity.dropped)} keys left out ({first}, ...)")
