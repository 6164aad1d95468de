"""Real samples as inputs to compare on."""

from __future__ import annotations

from collections.abc import Mapping
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
    samples: SampleOptions,
    inputs: tuple[TensorSpec, ...],
    shapes: InputShapes,
    facts: Mapping[str, Any],
    tuned: int | None = None,
) -> tuple[Given, ...]:
    """Make cases of the first samples; none where none were given.

    Args:
        samples: What the user gave.
        inputs: Of the model.
        shapes: Full input shapes, whose sizes the samples are to have.
        facts: What is stated of the network: how a picture becomes an input, and its classes.
        tuned: The batch that a plan is tuned for.

    Raises:
        InputError: They cannot be used, or are fewer than the batch that the model fixes.
        UsageError: The limit is below 1, or the model has several inputs.
    """
    dataset = open_samples(samples, inputs, shapes, facts)
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
    facts: Mapping[str, Any],
) -> Dataset | None:
    """Open the samples, if there are any; arguments and errors are those of `given_cases`."""
    if samples.data is None:
        return None
    spec = TensorSpec(only_input(inputs).name, "float32", ("batch", *shapes[0][1:]))
    told = facts.get("preprocessing"), facts.get("classes")
    return open_dataset(Path(samples.data), spec, told[0], limit=samples.limit, names=told[1])


def renamed(case: Given, name: str) -> Given:
    """Give the only input of a case another name."""
    (array,) = case.arrays.values()
    return Given(case.name, {name: array})
