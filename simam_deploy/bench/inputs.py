"""The arrays that every subject is timed on, and held against the reference on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simam_deploy.core.arrays import Array, numpy_type
from simam_deploy.core.specs import TensorSpec, shape_text
from simam_deploy.errors import InputError
from simam_deploy.source.samples import Dataset
from simam_deploy.source.samples.inputs import feeds_of
from simam_deploy.source.subject import InputShapes
from simam_deploy.verify.cases import Case, Given, drawn_cases

KINDS = ("picture", "normal")
"""Of drawn rows: what networks are made for, and what is in no way smooth."""


def at_batch(inputs: Sequence[TensorSpec], shapes: InputShapes, batch: int) -> InputShapes:
    """Give full shapes another batch: the first size of the first input, and of those like it.

    Args:
        inputs: Of the model that the shapes are of.
        shapes: One an input.
        batch: Rows.
    """
    whose = inputs[0].shape[:1]
    return tuple(
        (batch, *shape[1:]) if whose and spec.shape[:1] == whose else shape
        for spec, shape in zip(inputs, shapes, strict=True)
    )


def case_of(
    inputs: Sequence[TensorSpec],
    shapes: InputShapes,
    samples: Dataset | None,
    preprocessing: Mapping[str, Any] | None,
) -> Case:
    """Make the case of one batch: the first samples, or drawn rows where there are too few."""
    rows = shapes[0][0] if shapes[0] else 1
    if samples is not None:
        first = next(iter(samples.batches(rows)), None)
        if first is not None and len(first.array) == rows:
            return Given(samples.name, feeds_of(inputs, first))
    return drawn_cases((shapes,), KINDS, preprocessing)[0]


def check_fit(inputs: Sequence[TensorSpec], shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse arrays of sizes that a model fixes otherwise.

    Raises:
        InputError: They are, or there are more or fewer of them.
    """
    fit = len(inputs) == len(shapes) and all(map(_fits, inputs, shapes))
    if not fit:
        given = "; ".join(map(shape_text, shapes))
        raise InputError(f"it takes {'; '.join(map(str, inputs))}, and was to run on {given}")


def _fits(spec: TensorSpec, shape: tuple[int, ...]) -> bool:
    if not spec.shape:  # torch's own, of which nothing is known, or a number
        return True
    pairs = zip(spec.shape, shape, strict=False)
    return len(spec.shape) == len(shape) and all(isinstance(a, str) or a == b for a, b in pairs)


def arrays_of(case: Case, inputs: Sequence[TensorSpec]) -> list[Array]:
    """Give a case's arrays, in the order of the inputs."""
    feeds = case.feeds(inputs)
    return [feeds[spec.name] for spec in inputs]


def named(inputs: Sequence[TensorSpec], arrays: Sequence[Array]) -> dict[str, Array]:
    """Name arrays by a model's inputs, which are in their order, in the inputs' types.

    Raises:
        InputError: They do not fit.
    """
    check_fit(inputs, [array.shape for array in arrays])
    return {
        spec.name: array.astype(numpy_type(spec.dtype), copy=False)
        for spec, array in zip(inputs, arrays, strict=True)
    }
