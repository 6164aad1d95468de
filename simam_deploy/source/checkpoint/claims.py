"""How much memory and time each request of a pickle may claim, against what its file holds."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence, Sized
from typing import Any, NoReturn

import torch

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.content import ADVICE
from simam_deploy.source.checkpoint.stack import Container, Global, Storage, Tensor

MAX_PICKLE_BYTES = 8 * 2**20
"""3,000 tensors need 0.3 MB of pickle. Five bytes may call for an object of 600: at most 1 GB."""
MAX_DIMENSIONS = 64
MAX_TENSORS = 500_000
"""Storages, tensors and parameters asked for: each may take three bytes, 1 kB and 10 us. The least
that torch.save writes of one is 60 bytes."""
MAX_COLLISIONS = 100
"""Keys of one hash in a dict, each of which is compared with all before it. Text has a secret salt,
and 64-bit integers have hardly a hash in common; others' hashes can be chosen."""
MAX_KEY_DEPTH = 8
"""Tuples in tuples: hashing a million levels overflows the C stack."""

_ITEM_BYTES = {
    **dict.fromkeys(("Byte", "Char", "Bool", "QInt8", "QUInt8", "QUInt4x2", "QUInt2x4"), 1),
    **dict.fromkeys(("Short", "Half", "BFloat16"), 2),
    **dict.fromkeys(("Int", "Float", "QInt32"), 4),
    **dict.fromkeys(("Long", "Double", "ComplexFloat"), 8),
    "ComplexDouble": 16,
}
STORAGES = {f"torch {name}Storage": size for name, size in _ITEM_BYTES.items()}
STORAGES["torch.storage UntypedStorage"] = 1
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
        if kind.name not in STORAGES:
            raise needs_code(shown(kind.name))
        itemsize = STORAGES[kind.name]
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
        found = dtype_of(dtype.name)
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


def check_hooks(hooks: object) -> None:
    """Refuse what is no dict: of tensors that hold each other, the end is a stack overflow."""
    if hooks is not None and not isinstance(hooks, Container):
        raise ValueError("a tensor has hooks that are no dict")


def dtype_of(name: str) -> torch.dtype | None:
    """Give the dtype of a "torch name"; None where it is none."""
    found = vars(torch).get(name.removeprefix("torch ")) if name.startswith("torch ") else None
    return found if isinstance(found, torch.dtype) else None
