"""What a pickle may ask for by name.

The names that are known are fewer than `torch.load(weights_only=True)` allows: a state_dict, an
optimizer's state and a training script's arguments need no more. What else is named is not
imported: it is read as `inert.Inert`, and refused only where a weight depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.claims import (
    STORAGES,
    Claims,
    check_hooks,
    dtype_of,
    shown,
)
from simam_deploy.source.checkpoint.content import ADVICE
from simam_deploy.source.checkpoint.stack import Container, Global, Inert, Tensor

MAX_FOREIGN = 1_000
"""Classes that are not known here: each costs 1 kB, and a pickle of 8 MB could name a million."""
MAX_NAME = 1_000
"""Letters of a class with its module: five bytes may ask for the same long name again."""
NAMESPACE = "argparse Namespace"
WITH_STATE = "torch._utils _rebuild_parameter_with_state"
OF_TYPE = "torch._tensor _rebuild_from_type_v2"
"""Tensors with attributes or of a class: they are read without both."""


def knows(module: str, name: str) -> bool:
    """Tell whether a class or function is one that runs no code of others."""
    full = f"{module} {name}"
    return full in _CALLS or full in STORAGES or full == NAMESPACE or dtype_of(full) is not None


def named(claims: Claims, name: str) -> Global:
    """Let a class or function pass by its "module name"; what is not known is only noted.

    Raises:
        CheckpointError: It is one too many, or its name is too long.
    """
    if len(name) > MAX_NAME:
        raise CheckpointError(f"names a class with {len(name):,} letters: {ADVICE}")
    if not knows(*name.split(" ", 1)):
        claims.foreign[name] = shown(name)
        if len(claims.foreign) > MAX_FOREIGN:
            raise CheckpointError(f"names more than {MAX_FOREIGN:,} classes: {ADVICE}")
    return Global(name)


def call(claims: Claims, function: Global | Inert, arguments: tuple[Any, ...]) -> object:
    """Judge a call of a function that was named."""
    claims.charge(len(arguments))
    if isinstance(function, Inert):
        return Inert()
    if function.name == WITH_STATE:
        return arguments[0] if isinstance(arguments[0], Tensor) else Inert()
    if function.name == OF_TYPE:
        made, _type, its_arguments, _state = arguments
        return call(claims, made, its_arguments)
    if function.name in claims.foreign:
        return Inert()
    if function.name not in _CALLS:
        raise ValueError(f"{shown(function.name)} is called")
    return _CALLS[function.name](claims, *arguments)


def _parameter(
    claims: Claims, data: object, _requires_grad: object = True, hooks: object = None
) -> object:
    claims.charge_tensor()
    check_hooks(hooks)
    if not isinstance(data, Tensor):
        raise ValueError("a parameter is without its tensor")
    return data


def _device(claims: Claims, kind: str, *_index: object) -> Container:
    return claims.copy(kind)


_CALLS: dict[str, Callable[..., object]] = {
    "torch._utils _rebuild_tensor": Claims.tensor,
    "torch._utils _rebuild_tensor_v2": Claims.tensor,
    "torch._utils _rebuild_tensor_v3": Claims.tensor_of_dtype,
    "torch._utils _rebuild_parameter": _parameter,
    "collections OrderedDict": lambda _: Container(),
    "collections Counter": Claims.copy,
    "__builtin__ set": Claims.copy,
    "builtins set": Claims.copy,
    "torch Size": Claims.size,
    "torch device": _device,
    "_codecs encode": Claims.encoded,
}
