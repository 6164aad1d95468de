"""A picture in, by the model's own preprocessing; classes out, their scores as probabilities."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.core.labels import label_of
from simam_deploy.detect.decoding import may_detect
from simam_deploy.errors import InputError
from simam_deploy.serve.models.decoders import Decoders
from simam_deploy.serve.models.model import Model
from simam_deploy.serve.protocol.check import Port, spec_of
from simam_deploy.serve.protocol.refusals import BadRequest, ModelFailed, Unsupported
from simam_deploy.source.samples.picture_inputs import (
    Picture,
    PictureInputs,
    find_picture_inputs,
)

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""First bytes of JPEG and PNG."""
_NAME = "the picture"


def inputs_of(model: Model) -> PictureInputs:
    """Say how a picture becomes the model's inputs.

    Raises:
        Unsupported: It takes no pictures, or nothing says how they are prepared.
    """
    specs = [spec_of(port) for port in model.inputs.values()]
    try:
        found = find_picture_inputs(specs, model.facts.get("preprocessing"))
    except InputError as error:
        raise Unsupported(f"model '{model.name}': {error}") from error
    if found is None:
        raise Unsupported(
            f"model '{model.name}' takes no pictures: its manifest has no preprocessing for them"
        )
    return found


def classifies(model: Model) -> bool:
    """Tell whether the model can classify a picture."""
    try:
        inputs_of(model)
        scores_of(model)
    except Unsupported:
        return False
    return True


async def read_picture(decoders: Decoders, content: bytes, inputs: PictureInputs) -> Picture:
    """Decode a JPEG or PNG file and prepare it, when its turn comes.

    Raises:
        Unsupported: It is neither.
        BadRequest: It is damaged, or of more pixels than Pillow thinks safe (89 million).
    """
    if not content.startswith(_SIGNATURES):
        raise Unsupported("a JPEG or PNG file is wanted as the body")
    try:
        weight = await asyncio.to_thread(inputs.memory_of, content, _NAME)
        weight += len(content)
        return await decoders.run(weight, inputs.read, io.BytesIO(content), _NAME)
    except InputError as error:
        raise BadRequest(str(error)) from error


def scores_of(model: Model) -> Port:
    """Find the output that has a score for every class: the first of shape (N, classes).

    Raises:
        Unsupported: There is none, or the scores are those of boxes.
    """
    if may_detect([spec_of(port) for port in model.outputs.values()]):
        raise Unsupported(f"model '{model.name}' detects: ask /detect")
    for port in model.outputs.values():
        if len(port.shape) == 2 and port.dtype.kind == "f":
            return port
    raise Unsupported(f"model '{model.name}' has no output of class scores")


def check_finite(scores: Array) -> None:
    """See that scores are numbers to be compared.

    Raises:
        ModelFailed: One is no finite number.
    """
    if not np.isfinite(scores).all():
        raise ModelFailed("the model gave scores that are no finite numbers for this picture")


def rank(scores: Array, labels: Sequence[str], top: int) -> list[dict[str, Any]]:
    """Turn a row of scores into the `top` likeliest classes.

    Scores that are probabilities already (none negative, their sum 1) stay; others go through a
    softmax. A class without a label has its number.

    Raises:
        ModelFailed: A score is no finite number.
    """
    row = scores.astype(np.float64).reshape(-1)
    check_finite(row)
    if row.min() < 0 or abs(row.sum() - 1) > 1e-2:
        row = np.exp(row - row.max())
        row /= row.sum()
    best = np.argsort(-row, kind="stable")[:top]
    return [
        {
            "index": int(i),
            "label": label_of(int(i), labels),
            "probability": round(float(row[i]), 6),
        }
        for i in best
    ]
