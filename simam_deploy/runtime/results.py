"""What a network returns, as the tensors that a graph can give, and their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from simam_deploy.errors import InputError

Path = tuple[Any, ...]
"""The keys, field names and places that lead to a value."""


def flatten(result: Any) -> list[torch.Tensor]:
    """List the tensors in a result, however nested, in the order that torch.onnx has."""
    return [leaf for _, leaf in _leaves(result) if isinstance(leaf, torch.Tensor)]


def name_outputs(result: Any, inputs: Sequence[str]) -> tuple[str, ...]:
    """Name the tensors of a result, in the order of `flatten`.

    What stands under keys or fields is named by them, joined with underscores as `boxes` and
    `aux_0`; all else is `output`, or `output0`, `output1` and so on of several. What has an
    input's name, which a graph has only once, is `NAME_out`.

    Raises:
        InputError: There is no tensor, a key is no text or whole number, or two names are one.
    """
    paths = [path for path, leaf in _leaves(result) if isinstance(leaf, torch.Tensor)]
    if not paths:
        raise InputError(
            f"the model returns a {type(result).__name__} without a tensor: it may return one, or "
            "tuples, lists, dicts and dataclasses of them"
        )
    named = (_name(path, number, len(paths)) for number, path in enumerate(paths))
    names = tuple(f"{name}_out" if name in inputs else name for name in named)
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(
            f"two outputs of the model come to be called {twice}: name all {len(names)} yourself",
            options=("output_names",),
        )
    return names


def left_out(result: Any) -> tuple[str, ...]:
    """Say what of a result is no tensor, and so no output."""
    return tuple(
        f"{'_'.join(map(str, path)) or 'the result'} is a {type(leaf).__name__}: no output"
        for path, leaf in _leaves(result)
        if not isinstance(leaf, torch.Tensor)
    )


def _name(path: Path, number: int, count: int) -> str:
    if all(isinstance(part, _Place) for part in path):
        return "output" if count == 1 else f"output{number}"
    if wrong := [part for part in path if not isinstance(part, (str, int)) or part == ""]:
        raise InputError(
            f"the model's result has the key {wrong[0]!r:.40}: a key is a text or a whole number"
        )
    first = f"output{path[0]}" if isinstance(path[0], _Place) else str(path[0])
    return "_".join([first, *map(str, path[1:])])


class _Place(int):
    """Where a value stands in a tuple or list; a dict's own whole numbers are keys."""


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    parts = _parts(value)
    if parts is None:
        yield path, value
        return
    for key, part in parts:
        yield from _leaves(part, (*path, key))


def _parts(value: Any) -> list[tuple[Any, Any]] | None:
    """List what a value is made of, by key; None where it is made of nothing."""
    if isinstance(value, torch.Tensor):
        return None
    if isinstance(value, Mapping):  # dataclasses among them, which know what they leave out
        return list(value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    leaves = value if isinstance(value, (tuple, list)) else _registered(value)
    return None if leaves is None else [(_Place(i), leaf) for i, leaf in enumerate(leaves)]


def _registered(value: Any) -> list[Any] | None:
    """List the leaves of a class that its author told torch of."""
    leaves: list[Any] = torch.utils._pytree.tree_leaves(value)
    return None if len(leaves) == 1 and leaves[0] is value else leaves
