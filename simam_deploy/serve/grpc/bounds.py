"""How large a message may be: as large as the largest request that a loaded model takes.

gRPC copies a message twice in the event loop's thread, with the interpreter's lock held: 55 MB hold
everything up for 100 to 150 ms, the 5 MB of a batch of 8 pictures of 224 x 224 for a tenth of that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from simam_deploy.serve.models.model import Model
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.protocol.check import Port
from simam_deploy.serve.settings import MIB

_BESIDE = MIB
"""Bytes that a message may have beside its tensors."""
_TYPED = {"INT8": 10, "INT16": 10, "INT32": 10, "INT64": 10,
          "UINT8": 2, "UINT16": 3, "UINT32": 5, "UINT64": 10}  # fmt: skip
"""Bytes of a number in a typed list where they are more than in a raw tensor: 7 bits in each, and
those of a negative one are extended to 64."""


def largest_message(repository: Repository) -> int:
    """Give the bytes of the largest message that is of use."""
    most = repository.settings.max_body
    tensors = (largest_request(model) for model in repository.models.values())
    return int(min(most, max(tensors, default=0))) + _BESIDE


def largest_request(model: Model) -> float:
    """Give the bytes that a model's inputs come to at the most; infinite where a size is free."""
    rows = model.batcher.limits.max_batch or math.inf
    shapes: list[dict[str, Sequence[float]]] = [
        {each.name: each.max for each in profile} for profile in model.profiles
    ]
    if not shapes:
        shapes = [{port.name: _bounds(port) for port in model.inputs.values()}]
    return max(_size(model, each, rows) for each in shapes)


def _bounds(port: Port) -> list[float]:
    return [dim if dim > 0 else math.inf for dim in port.shape]


def _size(model: Model, shapes: Mapping[str, Sequence[float]], rows: float) -> float:
    return sum(
        math.prod((min(shape[0], rows), *shape[1:]) if shape else ()) * _width(model, name)
        for name, shape in shapes.items()
    )


def _width(model: Model, name: str) -> int:
    port = model.inputs[name]
    return _TYPED.get(port.datatype, port.dtype.itemsize)
