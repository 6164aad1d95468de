"""Inputs as the server's own metadata describe them, drawn from a seed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simam_deploy.core.arrays import Array, draw
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError, UsageError
from simam_deploy.serve.load.client import ModelInput
from simam_deploy.serve.protocol.datatypes import DTYPES
from simam_deploy.source.samples.inputs import picture_inputs

MAX_BYTES = 256 << 20
"""Of one request: what a server says of its shapes is not believed beyond that."""


def make_feeds(
    inputs: Sequence[ModelInput],
    batch: int,
    shapes: Mapping[str, tuple[int, ...]],
    seed: int,
) -> dict[str, Array]:
    """Draw one array an input: standard normal where it is floating, bytes and 0 or 1 elsewhere.

    Floats (N, 2) beside a picture, and nothing else, are taken for its height and width: a detector
    that is told others has less to do.

    Args:
        inputs: The model's inputs; a free first dimension is the batch.
        batch: The size of that dimension.
        shapes: Full shapes by input, for those with other free dimensions.
        seed: Of the drawing.

    Raises:
        UsageError: A shape is missing or does not fit, or the request would be above 256 MiB.
        InputError: An input's type cannot be made.
    """
    unknown = shapes.keys() - {spec.name for spec in inputs}
    if unknown:
        names = ", ".join(spec.name for spec in inputs)
        raise UsageError(
            f"the model has no input {min(unknown)!r}; it has {names}", options=("shape",)
        )
    sizes = {spec.name: _shape(spec, batch, shapes.get(spec.name)) for spec in inputs}
    total = sum(math.prod(sizes[spec.name]) * _dtype(spec).itemsize for spec in inputs)
    if total > MAX_BYTES:
        raise UsageError(f"a request would have {total / 2**20:.0f} MiB; 256 MiB is the most")
    rng = np.random.default_rng(seed)
    feeds = {spec.name: draw(rng, sizes[spec.name], _dtype(spec)) for spec in inputs}
    _say_sizes(feeds)
    return feeds


def _say_sizes(feeds: dict[str, Array]) -> None:
    """Write the pictures' height and width into the input that is for it, if there is one."""
    specs = [TensorSpec(name, str(array.dtype), array.shape) for name, array in feeds.items()]
    with contextlib.suppress(UsageError):
        given = picture_inputs(specs, sized=True)
        if given.size is not None and "float" in given.size.dtype:
            feeds[given.size.name][:] = feeds[given.sample.name].shape[2:]


def _dtype(spec: ModelInput) -> np.dtype[Any]:
    if spec.datatype not in DTYPES:
        raise InputError(f"input {spec.name} is {spec.datatype}; there is {', '.join(DTYPES)}")
    return DTYPES[spec.datatype]


def _shape(spec: ModelInput, batch: int, given: tuple[int, ...] | None) -> tuple[int, ...]:
    described = " x ".join(map(str, spec.shape))
    leading = (batch,) if spec.shape[:1] == (-1,) else spec.shape[:1]
    shape = given or (*leading, *spec.shape[1:])
    fits = len(shape) == len(spec.shape) and all(
        want in (-1, got) and got > 0 for got, want in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        raise UsageError(
            f"input {spec.name} is {described}: say its size, like {spec.name}=1x3x224x224",
            options=("shape",),
        )
    if given is None and shape[:1] not in ((batch,), ()):
        raise UsageError(
            f"input {spec.name} is {described}: the batch must be {shape[0]}", options=("batch",)
        )
    return shape
