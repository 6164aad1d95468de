"""A picture in, classes out: the model's own preprocessing, its scores as probabilities."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.serve.models.model import Model
from simam_deploy.serve.protocol.check import Port
from simam_deploy.serve.protocol.refusals import BadRequest, Unsupported
from simam_deploy.source.samples.pictures import decode
from simam_deploy.source.samples.preparation import Preparation, read_preparation

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""First bytes of JPEG and PNG."""


def preparation_of(model: Model) -> Preparation:
    """Say how a picture becomes the model's input.

    Raises:
        Unsupported: It takes no pictures, or nothing says how they are prepared.
    """
    ports = list(model.inputs.values())
    prepare = None
    if len(ports) == 1 and ports[0].dtype.kind == "f":
        spec = TensorSpec(ports[0].name, "float32", _shape(ports[0]))
        try:
            prepare = read_preparation(model.facts.get("preprocessing"), spec)
        except InputError as error:
            raise Unsupported(f"model '{model.name}': {error}") from error
    if prepare is None:
        raise Unsupported(
            f"model '{model.name}' takes no pictures: its manifest has no preprocessing for them"
        )
    return prepare


def takes_pictures(model: Model) -> bool:
    """Tell whether the model can classify a picture."""
    try:
        preparation_of(model)
        scores_of(model)
    except Unsupported:
        return False
    return True


def _shape(port: Port) -> tuple[int | str, ...]:
    return tuple(d if d > 0 else "?" for d in port.shape)


def read_picture(content: bytes, prepare: Preparation) -> tuple[npt.NDArray[np.float32], bool]:
    """Decode a JPEG or PNG file and prepare it.

    Returns:
        An input (1, C, H, W), and whether the picture was turned upright, as its EXIF says.

    Raises:
        Unsupported: It is neither.
        BadRequest: It is damaged, or of more pixels than Pillow thinks safe (89 million).
    """
    if not content.startswith(_SIGNATURES):
        raise Unsupported("a JPEG or PNG file is wanted as the body")
    try:
        picture, turned = decode(io.BytesIO(content), "the picture")
        return prepare(picture)[None], turned
    except InputError as error:
        raise BadRequest(str(error)) from error


def scores_of(model: Model) -> Port:
    """Find the output that has a score for every class: the first of shape (N, classes).

    Raises:
        Unsupported: There is none.
    """
    for port in model.outputs.values():
        if len(port.shape) == 2 and port.dtype.kind == "f":
            return port
    raise Unsupported(f"model '{model.name}' has no output of class scores")


def rank(scores: Array, labels: Sequence[str], top: int) -> list[dict[str, Any]]:
    """Turn a row of scores into the `top` likeliest classes.

    Scores that are probabilities already (none negative, their sum 1) stay; others go through a
    softmax. A class without a label has its number.
    """
    row = scores.astype(np.float64).reshape(-1)
    if row.min() < 0 or abs(row.sum() - 1) > 1e-2:
        row = np.exp(row - row.max())
        row /= row.sum()
    best = np.argsort(-row, kind="stable")[:top]
    return [
        {
            "index": int(i),
            "label": labels[i] if i < len(labels) else str(i),
            "probability": round(float(row[i]), 6),
        }
        for i in best
    ]
