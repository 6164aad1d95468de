"""Values of classes that are not imported: what they hold can be read, what they do cannot be run.

Training scripts leave all kinds of objects beside weights (paths of another system, histories,
enums, options), and some save the network itself. To know the weights, none of their code is
needed: each such object is read as the dict of what was stored into it.
"""

from __future__ import annotations

import io
import os
import pickle
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import IO, Any

import torch

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.calls import OF_TYPE, WITH_STATE
from simam_deploy.source.checkpoint.content import ADVICE, brief

MAX_PARTS = 100_000
"""Modules and tensors of a network read from its object, each as often as it has a name: shared
parts could make 2^n of n modules. 3,000 tensors is large."""
MAX_LETTERS = 8 * 2**20
"""Of the keys of such a network together: a module's long name is in the keys of all its parts."""
MAX_DEPTH = 100
"""Modules in modules; one may hold itself."""


class Inert(dict[object, object]):
    """Stands for an object: its items and its attributes, whichever it stored."""

    name = ""
    """Its class, as "module.Class"."""
    dump_patches = False
    """What torch asks of a class in a file of its old format."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __hash__(self) -> int:  # type: ignore[override]
        """Tell objects apart, as those that they stand for do: they may be keys."""
        return id(self)

    def __call__(self, *_: object) -> Inert:
        """Stand for what a method that was looked up gives."""
        return type(self)()

    def __setstate__(self, state: object) -> None:
        """Take attributes; of classes with slots they come in pairs."""
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.update(part)

    def append(self, _: object) -> None:
        """Lists' and sets' own items are not kept."""

    extend = add = append


class _Unpickler(pickle.Unpickler):
    """Imports what `knows`, and puts `Inert` in the place of all else.

    It reads the pickles that were screened, and moves past them in the file: torch, which may take
    the file for a tar archive, or find it changed meanwhile, has no say in what is read.
    """

    knows: Callable[[str, str], bool]
    screened: Iterator[bytes]

    def __init__(self, file: IO[bytes], **options: Any) -> None:
        screened = next(type(self).screened)
        file.seek(len(screened), os.SEEK_CUR)
        super().__init__(io.BytesIO(screened), **options)
        self._classes: dict[str, type[Inert]] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if type(self).knows(module_name, global_name):
            return super().find_class(module_name, global_name)
        name = f"{module_name}.{global_name}"
        if name not in self._classes:
            # Of no module: torch looks for the source of what an old file calls a module's class.
            self._classes[name] = type("Inert", (Inert,), {"name": name, "__module__": ""})
        reader = _READERS.get(f"{module_name} {global_name}")
        return partial(reader, self._classes[name]) if reader else self._classes[name]


def _with_state(inert: type[Inert], data: object, *_: object) -> object:
    """Read a parameter without its attributes.

    What integers mean may stand in those, as the scales of quantised weights.
    """
    is_plain = isinstance(data, torch.Tensor) and data.is_floating_point()
    return data if is_plain else inert()


def _of_type(
    inert: type[Inert],
    make: Callable[..., object],
    kind: object,
    arguments: tuple[object, ...],
    state: object,
) -> object:
    """Read a tensor without its class and its attributes; torch's own classes add nothing."""
    made = make(*arguments)
    is_bare = not state or (isinstance(state, dict) and state.keys() <= _OF_BUFFERS)
    is_torchs = getattr(kind, "name", "torch.Tensor").startswith("torch.")
    return made if is_bare and is_torchs else _with_state(inert, made)


_OF_BUFFERS = {"persistent", "_is_buffer"}
"""The attributes of an nn.Buffer."""
_READERS: dict[str, Callable[..., object]] = {WITH_STATE: _with_state, OF_TYPE: _of_type}


def inert_pickle(knows: Callable[[str, str], bool], screened: Iterable[bytes]) -> types.ModuleType:
    """Make a module that torch.load takes for `pickle`, to load one file.

    Args:
        knows: Whether a class or function, by its module's name and its own, may be imported.
        screened: The file's pickles, in the order in which they are read.
    """
    module = types.ModuleType("inert_pickle")
    own = {"knows": staticmethod(knows), "screened": iter(screened)}
    unpickler = type("Unpickler", (_Unpickler,), own)
    vars(module).update(
        Unpickler=unpickler, load=lambda file, **options: unpickler(file, **options).load()
    )
    return module


def is_network(value: object) -> bool:
    """Tell whether a value is an nn.Module that was stored as an object."""
    return isinstance(value, Inert) and isinstance(value.get("_modules"), Mapping)


def state_dict_of(network: Inert) -> dict[str, torch.Tensor | Inert]:
    """Give the state_dict of what `is_network`; a tensor that only code can make is `Inert` in it.

    Raises:
        CheckpointError: It has more than `MAX_PARTS` parts, or is deeper than `MAX_DEPTH`, or a
            part's name is no text.
    """
    found: dict[str, torch.Tensor | Inert] = {}
    letters = 0
    for count, (key, value) in enumerate(_parts(network, "")):
        letters += len(key)
        if count >= MAX_PARTS or letters > MAX_LETTERS:
            what = f"{MAX_PARTS:,} parts" if count >= MAX_PARTS else f"{MAX_LETTERS:,} letters"
            raise CheckpointError(f"holds a network of more than {what}: {ADVICE}")
        if isinstance(value, (torch.Tensor, Inert)):
            found[key] = value
    return found


def _parts(module: Mapping[object, object], prefix: str) -> Iterator[tuple[str, object]]:
    """Yield what is stored as tensors by its key, and None for every module."""
    if prefix.count(".") > MAX_DEPTH:
        raise CheckpointError(f"holds a network of modules more than {MAX_DEPTH} deep")
    yield prefix, None
    left_out = module.get("_non_persistent_buffers_set")
    for kind in ("_parameters", "_buffers"):
        for name, value in _part(module, kind):
            if not (kind == "_buffers" and isinstance(left_out, set) and name in left_out):
                yield f"{prefix}{name}", value
    for name, value in _part(module, "_modules"):
        if isinstance(value, Mapping):
            yield from _parts(value, f"{prefix}{name}.")


def _part(module: Mapping[object, object], kind: str) -> list[tuple[str, object]]:
    part = module.get(kind)
    items = list(part.items()) if isinstance(part, Mapping) else []
    for name, _ in items:
        if not isinstance(name, str):
            raise CheckpointError(
                f"holds a network with a part {brief(name)}, not a text: {ADVICE}"
            )
    return items
