"""A module as a graph has it: tensors by position in, a tuple of tensors out."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from simam_deploy.core.arrays import draw
from simam_deploy.core.specs import TensorSpec, shape_text
from simam_deploy.errors import InputError, UsageError
from simam_deploy.runtime.results import flatten
from simam_deploy.source.in_float32 import InFloat32

_Kind = inspect.Parameter


class Forward(nn.Module):
    """A network called in one way, whatever its own signature and result are.

    torch.export wants free dimensions told by the signature, which `*inputs`, decorators and
    keywords hide; this one is always the same. Its parts are the network's, under their names.

    Args:
        network: In eval mode.
        keywords: By input, the argument that it is given as; "" for its position. By default all
            stand by position.
        float32: Whether what forward makes of another float type is made in float32.
    """

    def __init__(
        self, network: nn.Module, keywords: Sequence[str] | None = None, float32: bool = False
    ) -> None:
        super().__init__()
        self._parameters, self._buffers = network._parameters, network._buffers
        self._modules = network._modules
        self._non_persistent_buffers_set = network._non_persistent_buffers_set
        self.training = False
        self._network = (network,)  # in a tuple, so that it is no part, whose names would change
        self._keywords = keywords
        self._float32 = float32

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the tensors of the result, in the order of `flatten`."""
        return tuple(flatten(self.result(*inputs)))

    def result(self, *inputs: torch.Tensor) -> Any:
        """Compute the result as the network gives it."""
        keywords = self._keywords or [""] * len(inputs)
        pairs = list(zip(keywords, inputs, strict=True))
        placed = [tensor for keyword, tensor in pairs if not keyword]
        named = {keyword: tensor for keyword, tensor in pairs if keyword}
        with InFloat32() if self._float32 else contextlib.nullcontext():
            return self._network[0](*placed, **named)


def drawn_inputs(specs: Sequence[TensorSpec]) -> tuple[torch.Tensor, ...]:
    """Draw seeded inputs, all of whose sizes are given, for a first try."""
    rng = np.random.default_rng(0)
    return tuple(
        torch.tensor(draw(rng, tuple(map(int, spec.shape)), np.dtype(spec.dtype))) for spec in specs
    )


def try_out(network: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> Any:
    """Run a network once, by position, and give what it returns.

    Raises:
        InputError: It fails on inputs of these shapes.
    """
    try:
        # Not inference_mode: what a head keeps of this run, as its grid, could not be part of one
        # that is differentiated.
        with torch.no_grad():
            return network(*(each.clone() for each in inputs))
    except Exception as error:  # the user's own code may raise anything
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        taken = ", ".join(shape_text(each.shape) or "one number" for each in inputs)
        raise InputError(f"the model fails on an input of {taken}: {first}") from error


def keywords_of(network: nn.Module, names: Sequence[str]) -> tuple[str, ...]:
    """Say by input the argument of forward that it is given as, "" for its position.

    An input whose name is an argument's goes there, the others to the arguments that are left.

    Raises:
        UsageError: They are too many for forward, or it wants more.
    """
    signature = inspect.signature(network.forward)
    kinds = {each.kind for each in signature.parameters.values()}
    by_place = kinds & {_Kind.VAR_POSITIONAL, _Kind.POSITIONAL_ONLY}
    usable = {_Kind.KEYWORD_ONLY, *(() if by_place else (_Kind.POSITIONAL_OR_KEYWORD,))}
    own = {name: each.kind for name, each in signature.parameters.items() if each.kind in usable}
    left = (n for n, kind in own.items() if n not in names and kind != _Kind.KEYWORD_ONLY)
    keywords = tuple(n if n in own else next(left, "" if by_place else n) for n in names)
    _check(signature, keywords, names, type(network).__name__)
    return keywords


def _check(
    signature: inspect.Signature, keywords: Sequence[str], names: Sequence[str], network: str
) -> None:
    """See to it that forward can be called so.

    Raises:
        UsageError: It cannot.
    """
    placed = [name for name, keyword in zip(names, keywords, strict=True) if not keyword]
    try:
        signature.bind(*placed, **{keyword: keyword for keyword in keywords if keyword})
    except TypeError as error:
        raise UsageError(
            f"{network} takes ({', '.join(signature.parameters)}) and is to be given "
            f"{', '.join(names)}: {error}",
            options=("inputs",),
        ) from None
