"""What a pickle may ask for by name, and how much memory each request may claim.

The names that are known are fewer than `torch.load(weights_only=True)` allows: a state_dict, an
optimizer's state and a training script's arguments need no more. What else is named is not
imported: it is read as `inert.Inert`, and refused only where a weight depends on it.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, NamedTuple, NoReturn

import torch

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.content import ADVICE

MAX_PICKLE_BYTES = 8 * 2**20
"""3,000 tensors need 0.3 MB of pickle. Five bytes may call for an object of 600: at most 1 GB."""
MAX_DIMENSIONS = 64
MAX_FOREIGN = 1_000
"""Classes that are not known here: each costs 1 kB, and a pickle of 8 MB could name a million."""
MAX_NAME = 1_000
"""Letters of a class with its module: five bytes may ask for the same long name again."""
MAX_TENSORS = 500_000
"""Storages, tensors and parameters asked for: each may take three bytes, 1 kB and 10 us. The least
that torch.save writes of one is 60 bytes."""
MAX_COLLISIONS = 100
"""Keys of one hash in a dict, each of which is compared with all before it. Text has a secret salt,
and 64-bit integers have hardly a hash in common; others' hashes can be chosen."""
MAX_KEY_DEPTH = 8
"""Tuples in tuples: hashing a million levels overflows the C stack."""
NAMESPACE = "argparse Namespace"
WITH_STATE = "torch._utils _rebuild_parameter_with_state"
OF_TYPE = "torch._tensor _rebuild_from_type_v2"
"""Tensors with attributes or of a class: they are read without both."""

_ITEM_BYTES = {
    **dict.fromkeys(("Byte", "Char", "Bool", "QInt8", "QUInt8", "QUInt4x2", "QUInt2x4"), 1),
    **dict.fromkeys(("Short", "Half", "BFloat16"), 2),
    **dict.fromkeys(("Int", "Float", "QInt32"), 4),
    **dict.fromkeys(("Long", "Double", "ComplexFloat"), 8),
    "ComplexDouble": 16,
}
_STORAGES = {f"torch {name}Storage": size for name, size in _ITEM_BYTES.items()}
_STORAGES["torch.storage UntypedStorage"] = 1
_METHODS = frozenset(dir(Counter) + dir(OrderedDict))
_WORD = 64
_NOT_DENSE = {
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_qtensor": "quantized",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "meta (dataless)",
}


class NeedsCodeError(CheckpointError):
    """Only the full unpickler, which runs code, can read the pickle."""


class Global(NamedTuple):
    """A class or function that the pickle names, as "module name"."""

    name: str


class Storage(NamedTuple):
    """A storage that the pickle asks for."""

    nbytes: int
    itemsize: int


class Tensor:
    """A tensor that passed."""


class Container:
    """A dict, a set or an object with attributes: its contents are only counted.

    Attributes:
        size: Its items.
        hashes: How many of its keys that are neither text nor numbers of 64 bits have each hash.
        hides: Whether a key is the name of a dict's method, which as an attribute would hide it.
    """

    __slots__ = ("hashes", "hides", "size")

    def __init__(self, size: int = 0, *, hides: bool = False) -> None:
        self.size = size
        self.hashes: Counter[int] | None = None
        self.hides = hides


class Namespace(Container):
    """An argparse.Namespace, which has no methods."""


class Inert(Container):
    """An object of a class that is not known here: it is read, and does nothing."""

    def extend(self, _: object) -> None:
        """What a list of its own kind takes is not kept."""


class Claims:
    """Judge what one file's pickle asks for, against what the file can hold.

    Args:
        file_size: Bytes of the file.
        records: Bytes of each storage's record by key, where the file lists them (zip).
    """

    def __init__(self, file_size: int, records: Mapping[str, int] | None = None) -> None:
        self.storages: dict[str, int] = {}
        """Bytes of each storage asked for, by key."""
        self.foreign: dict[str, str] = {}
        """Classes and functions that are not known here, as named and as shown."""
        self._file_size = file_size
        self._records = records
        self._claimed = 0
        self._copied = 0
        self._tensors = 0

    def storage(self, request: Any) -> Storage:
        """Judge a persistent id: ("storage", class, key, location, number of items[, None])."""
        self.charge_tensor()
        tag, kind, key, location, items = request[:5]
        if tag != "storage" or type(location) is not str or request[5:] not in ((), (None,)):
            raise ValueError("what should be a storage is not")
        if type(key) is not str or type(items) is not int:
            raise ValueError("a storage has an impossible key or size")
        if kind.name not in _STORAGES:
            raise needs_code(shown(kind.name))
        itemsize = _STORAGES[kind.name]
        nbytes = items * itemsize
        if key not in self.storages:
            self._claimed += nbytes
        room = self._file_size if self._records is None else self._record(key)
        if not 0 <= nbytes <= room or self._claimed > self._file_size:
            self._refuse(f"a storage of {nbytes:,} bytes")
        if self.storages.setdefault(key, nbytes) != nbytes:
            raise ValueError(f"storage {key} has two sizes")
        return Storage(nbytes, itemsize)

    def tensor(
        self,
        storage: Storage,
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        _requires_grad: object = False,
        hooks: object = None,
        _metadata: object = None,
    ) -> Tensor:
        """Judge a view of a storage, counted in items."""
        return self._view(storage.nbytes, storage.itemsize, (offset, size, stride), hooks)

    def tensor_of_dtype(
        self,
        storage: Storage,
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        _requires_grad: object,
        hooks: object,
        dtype: Global,
        _metadata: object = None,
    ) -> Tensor:
        """Judge a view of an untyped storage, counted in items of `dtype`."""
        found = _dtype(dtype.name)
        if found is None:
            raise ValueError("a tensor has no dtype")
        return self._view(storage.nbytes, found.itemsize, (offset, size, stride), hooks)

    def _view(
        self,
        nbytes: int,
        itemsize: int,
        place: tuple[int, tuple[int, ...], tuple[int, ...]],
        hooks: object,
    ) -> Tensor:
        self.charge_tensor()
        check_hooks(hooks)
        offset, size, stride = place
        counts = (offset, *size, *stride)
        if len(size) > MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in counts):
            raise ValueError("a tensor has an impossible shape")
        items = math.prod(size)
        reach = offset + 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if items and (reach * itemsize > nbytes or items * itemsize > self._file_size):
            self._refuse(f"a tensor of shape {size} ({items * itemsize:,} bytes)")
        return Tensor()

    def charge_tensor(self) -> None:
        """Count what is asked for of tensors: three bytes may ask for the same one again."""
        self._tensors += 1
        if self._tensors > MAX_TENSORS:
            raise _excess(f"{MAX_TENSORS:,} tensors")

    def charge(self, count: int) -> None:
        """Count values that are read again: a few bytes may ask for the same long list again."""
        self._copied += count
        if self._copied > MAX_PICKLE_BYTES:
            raise _excess(f"{MAX_PICKLE_BYTES:,} copies of its own values")

    def copy(self, source: Container | Sized = ()) -> Container:
        """Judge a copy of a dict, a set, a list or a text."""
        if isinstance(source, Container):
            self.charge(source.size)
            return Container(source.size, hides=source.hides)
        self.charge(len(source))
        made = Container(0 if isinstance(source, (list, tuple)) else len(source))
        if isinstance(source, (list, tuple)):
            self.fill(made, source)
        return made

    def fill(self, container: Container, keys: Sequence[object]) -> None:
        """Judge keys that a dict or a set takes."""
        for key in keys:
            if type(key) is str:
                container.hides |= key in _METHODS
            elif type(key) is not int or key.bit_length() > _WORD:
                self._odd_key(container, key)
        container.size += len(keys)

    def _odd_key(self, container: Container, key: object) -> None:
        self._weigh(key, MAX_KEY_DEPTH)
        if container.hashes is None:
            container.hashes = Counter()
        container.hashes[hash(key)] += 1
        if container.hashes[hash(key)] > MAX_COLLISIONS:
            raise _excess(f"{MAX_COLLISIONS} keys of one hash")

    def _weigh(self, key: object, depth: int) -> None:
        """Charge for a tuple's hash, which is made of its parts' each time."""
        if not isinstance(key, tuple):
            return
        if not depth:
            raise ValueError("a key is a nested tuple")
        self.charge(len(key))
        for part in key:
            self._weigh(part, depth - 1)

    def size(self, items: Sequence[object] = ()) -> tuple[object, ...]:
        """Judge a torch.Size; it may be a key."""
        self.charge(len(items))
        return tuple(items)

    def frozen(self, items: Sequence[object]) -> frozenset[object]:
        """Judge a frozenset; it may be a key."""
        self.fill(Container(), items)
        return frozenset(items)

    def encoded(self, text: str, encoding: str) -> str:
        """Judge bytes, which protocol 2 spells as text in latin1."""
        if encoding != "latin1":
            raise ValueError(f"bytes are spelt in {encoding!r}")
        self.charge(len(text))
        return text

    def _record(self, key: str) -> int:
        """Give the bytes of a storage that the archive lists."""
        assert self._records is not None
        if key not in self._records:
            raise CheckpointError(
                f"is damaged: its archive lacks the storage {key[:40]!r}: copy or download it again"
            )
        return self._records[key]

    def _refuse(self, claim: str) -> NoReturn:
        """Refuse what is no truncation where an archive lists its records: those are all there."""
        cause = (
            "so it is cut off: copy or download it again"
            if self._records is None
            else f"which torch.save does not write: {ADVICE}"
        )
        raise CheckpointError(f"claims {claim} in a file of {self._file_size:,} bytes, {cause}")


def _excess(limit: str) -> CheckpointError:
    return CheckpointError(f"claims more than {limit}, which torch.save does not write: {ADVICE}")


def knows(module: str, name: str) -> bool:
    """Tell whether a class or function is one that runs no code of others."""
    full = f"{module} {name}"
    return full in _CALLS or full in _STORAGES or full == NAMESPACE or _dtype(full) is not None


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


def shown(name: str) -> str:
    """Spell "module name" as Python does."""
    return name.replace(" ", ".").replace("__builtin__", "builtins")


def needs_code(what: str, place: str = "") -> CheckpointError:
    """Make the error of a file whose weights only the code of `what` can make.

    Args:
        what: The class or function, as Python spells it.
        place: Where its object stands, as " under 'fc.weight'".
    """
    if what in _NOT_DENSE:  # its code would make what is refused all the same
        return CheckpointError(
            f"holds a {_NOT_DENSE[what]} tensor, not dense weights{place}: {ADVICE}"
        )
    return NeedsCodeError(
        f"its pickle needs code to be run: it asks for {what}{place}; {ADVICE}, or trust "
        "it if you trust whoever made it",
        options=("trust_pickle",),
    )


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


def check_hooks(hooks: object) -> None:
    """Refuse what is no dict: of tensors that hold each other, the end is a stack overflow."""
    if hooks is not None and not isinstance(hooks, Container):
        raise ValueError("a tensor has hooks that are no dict")


def _dtype(name: str) -> torch.dtype | None:
    found = vars(torch).get(name.removeprefix("torch ")) if name.startswith("torch ") else None
    return found if isinstance(found, torch.dtype) else None


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
