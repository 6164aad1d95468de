"""Real samples as inputs to compare on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.options import SampleOptions
from simam_deploy.source.samples import Dataset, open_dataset
from simam_deploy.source.samples.inputs import batch_of, feeds_of
from simam_deploy.source.samples.preparation import sizes_vary
from simam_deploy.source.subject import InputShapes
from simam_deploy.verify.cases import Given

SAMPLES = 8
"""That outputs and gates are compared on; accuracy takes all."""


def given_cases(dataset: Dataset | None, inputs: tuple[TensorSpec, ...]) -> tuple[Given, ...]:
    """Make cases of the first samples; none where none were given.

    Args:
        dataset: What the user gave.
        inputs: Of the model that they were opened for.

    Raises:
        InputError: They cannot be decoded, or are fewer than the batch that the model fixes.
        UsageError: The model takes other inputs than the samples give.
    """
    if dataset is None:
        return ()
    batch = batch_of(inputs)
    size = batch or SAMPLES
    cases, seen = list[Given](), 0
    for each in dataset.batches(size):
        if seen >= SAMPLES:
            break
        if batch in (None, len(each)):
            cases.append(Given(f"{dataset.name} {seen}", feeds_of(inputs, each)))
        seen += len(each)
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
        UsageError: The limit is below 1, or no input has a batch.
    """
    if samples.data is None:
        return None
    asked = tuple(_at(*pair, preprocessing) for pair in zip(inputs, shapes, strict=True))
    path, limit = Path(samples.data), samples.limit
    return open_dataset(path, asked, preprocessing, limit=limit, names=names)


def _at(
    spec: TensorSpec, shape: tuple[int, ...], preprocessing: Mapping[str, Any] | None
) -> TensorSpec:
    """Give an input the sizes of a full shape, unless each picture has its own."""
    own = len(spec.shape) == 4 and sizes_vary(preprocessing, spec.shape[2:])
    return spec if own else replace(spec, shape=(*spec.shape[:1], *shape[1:]))
