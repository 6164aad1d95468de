"""Real samples as inputs to compare on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.precision.ranges import only_input
from simam_deploy.source.options import SampleOptions
from simam_deploy.source.samples import Dataset, open_dataset
from simam_deploy.source.subject import InputShapes
from simam_deploy.verify.cases import Given

SAMPLES = 8
"""That outputs and gates are compared on; accuracy takes all."""


def given_cases(
    dataset: Dataset | None, inputs: tuple[TensorSpec, ...], tuned: int | None = None
) -> tuple[Given, ...]:
    """Make cases of the first samples; none where none were given.

    Args:
        dataset: What the user gave.
        inputs: Of the model.
        tuned: The batch that a plan is tuned for.

    Raises:
        InputError: They cannot be decoded, or are fewer than the batch that the model fixes.
        UsageError: The model has several inputs.
    """
    if dataset is None:
        return ()
    batch = tuned or inputs[0].shape[0]
    size = batch if isinstance(batch, int) else SAMPLES
    cases = []
    for number, each in enumerate(dataset.batches(size)):
        if number * size >= SAMPLES:
            break
        if isinstance(batch, int) and len(each.array) < batch:
            break
        cases.append(Given(f"{dataset.name} {number * size}", {inputs[0].name: each.array}))
    if not cases:
        raise InputError(f"{dataset.name} holds {len(dataset)} samples, the model takes {size}")
    return tuple(cases)


def open_samples(
    samples: SampleOptions,
    inputs: tuple[TensorSpec, ...],
    shapes: InputShapes,
    preprocessing: Mapping[str, Any] | None,
    names: Sequence[str] | None = None,
) -> Dataset | None:
    """Open the samples, if there are any.

    Args:
        samples: What the user gave.
        inputs: Of the model.
        shapes: Full input shapes, whose sizes the samples are to have.
        preprocessing: What is stated of how a picture becomes an input.
        names: The network's classes, where labels are to be held against its scores.

    Raises:
        InputError: They cannot be used.
        UsageError: The limit is below 1.
    """
    if samples.data is None:
        return None
    spec = TensorSpec(only_input(inputs).name, "float32", ("batch", *shapes[0][1:]))
    path, limit = Path(samples.data), samples.limit
    return open_dataset(path, spec, preprocessing, limit=limit, names=names)


def renamed(case: Given, name: str) -> Given:
    """Give the only input of a case another name."""
    (array,) = case.arrays.values()
    return Given(case.name, {name: array})
