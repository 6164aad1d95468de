"""Real samples as inputs to compare on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.options import SampleOptions
from simam_deploy.source.samples import Dataset, open_dataset
from simam_deploy.source.samples.inputs import find_inputs, size_fact
from simam_deploy.source.samples.preparation import sizes_vary
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
        UsageError: The model takes more inputs than samples give.
    """
    if dataset is None:
        return ()
    given = find_inputs(inputs, dataset.sized)
    batch = tuned or given.sample.shape[0]
    size = batch if isinstance(batch, int) else SAMPLES
    cases, seen = list[Given](), 0
    for each in dataset.batches(size):
        if seen >= SAMPLES:
            break
        if not isinstance(batch, int) or len(each.array) == batch:
            cases.append(Given(f"{dataset.name} {seen}", given.feeds(each)))
        seen += len(each.array)
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
        shapes: Full input shapes, whose sizes the samples are to have, unless the model leaves
            them free and each picture has its own.
        preprocessing: What is stated of how a picture becomes an input.
        names: The network's classes, where labels are to be held against its scores.

    Raises:
        InputError: They cannot be used.
        UsageError: The limit is below 1, or the model takes more inputs than samples give.
    """
    if samples.data is None:
        return None
    given = find_inputs(inputs, bool(size_fact(preprocessing))).sample
    free = len(given.shape) == 4 and sizes_vary(preprocessing, given.shape[2:])
    sizes = given.shape[1:] if free else shapes[inputs.index(given)][1:]
    spec = TensorSpec(given.name, "float32", ("batch", *sizes))
    path, limit = Path(samples.data), samples.limit
    return open_dataset(path, spec, preprocessing, limit=limit, names=names)


def renamed(case: Given, inputs: tuple[TensorSpec, ...], own: tuple[TensorSpec, ...]) -> Given:
    """Give a case the names that another model has for its inputs, which are in the same order.

    Args:
        case: A case of the model that takes `own`.
        inputs: Of the other.
        own: Of the model.
    """
    names = {mine.name: theirs.name for mine, theirs in zip(own, inputs, strict=True)}
    return Given(case.name, {names[name]: array for name, array in case.arrays.items()})
