"""A request's tensors against the model's, before anything is allocated for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simam_deploy.core.specs import TensorSpec
from simam_deploy.serve.protocol.datatypes import datatype_of, dtype_of
from simam_deploy.serve.protocol.refusals import BadRequest

_LARGEST_DIM = 2**31 - 1


@dataclass(frozen=True)
class Port:
    """An input or output as the protocol shows it; -1 in `shape` is a free dimension."""

    name: str
    datatype: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def fixed_bytes(self) -> int:
        """Count the bytes of a row: every free dimension taken as 1."""
        return math.prod(d for d in self.shape if d > 0) * self.dtype.itemsize


def port_of(spec: TensorSpec) -> Port:
    """Turn a runner's tensor into a port.

    Raises:
        InputError: Its element type is not served.
    """
    datatype = datatype_of(spec)
    shape = tuple(d if isinstance(d, int) and d >= 0 else -1 for d in spec.shape)
    return Port(spec.name, datatype, dtype_of(datatype), shape)


def spec_of(port: Port) -> TensorSpec:
    """Turn a port into a tensor of the same shape; a free dimension's name is not known."""
    shape = tuple(dim if dim > 0 else "?" for dim in port.shape)
    return TensorSpec(port.name, port.dtype.name, shape)


def find_port(ports: Mapping[str, Port], name: Any, model: str) -> Port:
    """Look an input up.

    Raises:
        BadRequest: The model has none of that name.
    """
    port = ports.get(name) if isinstance(name, str) else None
    if port is None:
        raise BadRequest(
            f"unexpected inference input {name!r:.80} for model '{model}'; "
            f"it has {', '.join(ports)}"
        )
    return port


def check_claims(port: Port, datatype: Any, shape: Any) -> int:
    """Hold an input's claimed element type and shape against the model's.

    Returns:
        The number of elements; nothing was allocated for them.

    Raises:
        BadRequest: They differ from what the model takes.
    """
    if datatype != port.datatype:
        raise BadRequest(
            f"inference input '{port.name}' data-type is {datatype!r:.40}, "
            f"but the model expects '{port.datatype}'"
        )
    if not _fits(shape, port.shape):
        raise BadRequest(
            f"unexpected shape for input '{port.name}': expected {list(port.shape)} "
            f"(-1 is free), got {shape!r:.120}"
        )
    return math.prod(shape)


def _fits(shape: Any, expected: tuple[int, ...]) -> bool:
    """Tell whether a claimed shape, which may be anything at all, is one that the model takes."""
    if not isinstance(shape, Sequence) or len(shape) != len(expected):
        return False
    for dim, fixed in zip(shape, expected, strict=True):
        if type(dim) is not int or not 0 < dim <= _LARGEST_DIM or fixed not in (-1, dim):
            return False
    return True


def check_complete(ports: Mapping[str, Port], given: Iterable[str], model: str) -> None:
    """See that every input was given.

    Raises:
        BadRequest: One is missing.
    """
    missing = ports.keys() - set(given)
    if missing:
        raise BadRequest(f"model '{model}' misses inputs: {', '.join(sorted(missing))}")
