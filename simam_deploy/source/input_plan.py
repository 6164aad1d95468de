"""What the exported graph takes: its input, the axes that are free, and the sizes to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simam_deploy.core.specs import TensorSpec, shape_text
from simam_deploy.errors import InputError, UsageError
from simam_deploy.models.zoo import Family
from simam_deploy.runtime.results import flatten, name_outputs
from simam_deploy.source.options import DYNAMIC

if TYPE_CHECKING:
    from torch import nn

TRACE_BATCH, ODD_BATCH = 2, 3
"""To trace with, since 1 would be taken as fixed, and to validate beside 1."""

_STEP = 13
"""What validation changes sizes by: prime, so that no stride of a published network divides it."""


@dataclass(frozen=True)
class InputPlan:
    """The graph's input: its spec, the concrete full shape behind it, and its axes.

    `free` are the axes that are dynamic, `spatial` those that could be (H and W, or time), of which
    validation takes sizes that differ by multiples of `step`.
    """

    spec: TensorSpec
    shape: tuple[int, ...]
    free: tuple[int, ...]
    spatial: tuple[int, ...]
    step: int = _STEP

    @property
    def trace_sizes(self) -> dict[str, int]:
        """Size by dynamic dimension's name to trace with; a batch of 1 would be taken as fixed."""
        names = {str(self.spec.shape[axis]): self.shape[axis] for axis in self.free}
        return {**names, "batch": TRACE_BATCH}

    def validation_shapes(self, smallest: tuple[int, ...] | None) -> list[tuple[int, ...]]:
        """List the full shapes to validate: other batches, another size, the smallest if known."""
        if not self.free:
            return [self.shape]
        one = (1, *self.shape[1:])
        if self.free == (0,):
            return [one, (ODD_BATCH, *self.shape[1:])]
        odd = list(self.shape)
        for count, axis in enumerate(self.spatial, start=1):
            odd[axis] += count * self.step
        least = [(1, *smallest[1:])] if smallest else []
        return [one, (ODD_BATCH, *odd[1:]), *least]


def plan_input(
    family: Family, dynamic: str | None, shape: Sequence[int] | None, names: Sequence[str] | None
) -> InputPlan:
    """Combine a family's published input with what the user asks for.

    Args:
        family: Gives rank, default sizes and the axes that may be free.
        dynamic: One of `DYNAMIC`; None frees what the family's inputs differ in.
        shape: Full shape, or the shape without the batch.
        names: The input's name, alone in a sequence.

    Raises:
        UsageError: The shape's rank or sizes, or the count of names, do not fit the family.
    """
    dynamic = family.dynamic if dynamic is None else dynamic
    check_dynamic(dynamic)
    free = {0: "batch"} if dynamic != "none" else {}
    if dynamic == "hw":
        free |= dict(family.dynamic_axes)
    full = _full_shape(family, shape)
    name = fit_input(names, family.input_name)
    dims: tuple[int | str, ...] = tuple(free.get(i, n) for i, n in enumerate(full))
    spatial = tuple(axis for axis, _ in family.dynamic_axes)
    return InputPlan(TensorSpec(name, "float32", dims), full, tuple(free), spatial)


def check_dynamic(dynamic: str) -> None:
    """See to it that the word for the free dimensions is one.

    Raises:
        UsageError: It is none.
    """
    if dynamic not in DYNAMIC:
        raise UsageError(
            f"the free dimensions must be {', '.join(DYNAMIC)}, got {dynamic!r}",
            options=("dynamic",),
        )


def fit_input(option: Sequence[str] | None, default: str) -> str:
    """Take the option's name of the one input where there is any; errors as `fit_outputs`."""
    (name,) = fit_inputs(option, (default,))
    return name


def fit_inputs(option: Sequence[str] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """Take the option's names of the inputs where there are any; errors as `fit_outputs`."""
    return _fit_names(option, default, "input_names")


def choose_outputs(
    option: Sequence[str] | None, result: Any, inputs: Sequence[str]
) -> tuple[str, ...]:
    """Name the tensors of what a network returned by the option, or as `name_outputs` does.

    Raises:
        InputError: There are none, or they cannot be named.
        UsageError: As `fit_outputs`.
    """
    if option is None:
        return name_outputs(result, inputs)
    return fit_outputs(option, tuple(map(str, range(len(flatten(result))))), inputs)


def fit_outputs(
    option: Sequence[str] | None, default: tuple[str, ...], inputs: Sequence[str]
) -> tuple[str, ...]:
    """Take the option's names of the outputs where there are any.

    Raises:
        UsageError: They are not as many as the default's, not distinct, or one is an input's.
    """
    names = _fit_names(option, default, "output_names")
    if shared := next((name for name in names if name in inputs), None):
        raise UsageError(
            f"an input is called {shared}, and so cannot be an output", options=("output_names",)
        )
    return names


def _fit_names(
    option: Sequence[str] | None, default: tuple[str, ...], field: str
) -> tuple[str, ...]:
    names = default if option is None else tuple(option)
    if len(names) != len(default) or len(set(names)) != len(names) or not all(names):
        what, got = field.replace("_", " "), ", ".join(names)
        raise UsageError(
            f"the {what} must be {len(default)}, and distinct, got {got}", options=(field,)
        )
    return names


def _full_shape(family: Family, shape: Sequence[int] | None) -> tuple[int, ...]:
    """Complete a shape by its batch and check what the network fixes."""
    default = (1, *family.input_shape)
    if shape is None:
        return default
    full = tuple(shape) if len(shape) == len(default) else (1, *shape)
    free = {0, *(axis for axis, _ in family.dynamic_axes)}
    fits = len(full) == len(default) and all(n >= 1 for n in full)
    if not fits or any(full[i] != n for i, n in enumerate(default) if i not in free):
        wanted = "x".join("N" if i in free else str(n) for i, n in enumerate(default))
        got = shape_text(shape)
        raise UsageError(
            f"an input of {got} does not fit {family.title}: wanted {wanted}",
            options=("input_shape",),
        )
    return full


def smallest_workable(model: nn.Module, plan: InputPlan) -> tuple[int, ...]:
    """Give the smallest full shape whose SimAM, or SRM, all see more than one pixel.

    Raises:
        InputError: The planned shape is smaller; names the first site that it starves.
    """
    from simam_deploy.models.geometry import site_shapes, smallest_input, smallest_shape, suffices
    from simam_deploy.source.direct import Unknown, maps_of_sites

    try:
        maps = maps_of_sites(model, plan.spec, plan.spatial)
    except Unknown:
        smallest = smallest_input(model, plan.shape, plan.spatial)
        shapes = site_shapes(model, plan.shape)
    else:
        smallest = smallest_shape(
            lambda shape: all(map(suffices, maps(shape).values())), plan.shape, plan.spatial
        )
        shapes = maps(plan.shape)
    for site, shape in shapes.items():
        if not suffices(shape):
            kind = type(model.get_submodule(site)).__name__
            raise InputError(
                f"input {shape_text(plan.shape)} reaches {kind} {site} as a "
                f"{shape_text(shape[2:])} map, where its formula divides by zero; "
                f"the smallest workable input is {shape_text(smallest)}"
            )
    return smallest
