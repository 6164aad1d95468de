"""Make a raw state_dict clean: bare keys, dense float32 or int64 tensors, finite values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.content import ADVICE

PREFIXES = ("module.", "_orig_mod.", "model.")
"""DataParallel, torch.compile, Lightning."""
THOP_COUNTERS = ("total_ops", "total_params")
SWA_COUNTER = "n_averaged"
"""What torch.optim.swa_utils.AveragedModel saves beside its `module.`."""

_TARGETS = {
    **dict.fromkeys((torch.float16, torch.bfloat16, torch.float32, torch.float64), torch.float32),
    **dict.fromkeys((torch.bool, torch.uint8, torch.int8, torch.int16), torch.int64),
    **dict.fromkeys((torch.int32, torch.int64), torch.int64),
}


class Clean(NamedTuple):
    """Clean weights, and what was stripped or converted."""

    weights: dict[str, Tensor]
    notes: tuple[str, ...]


class Names(NamedTuple):
    """The bare name of each key that is kept, and what was stripped."""

    bare: dict[str, str]
    notes: tuple[str, ...]


def clean(state_dict: Mapping[object, object], file_size: int) -> Clean:
    """Return `state_dict`'s weights with bare keys, float32 or int64, contiguous, on the CPU.

    Args:
        state_dict: Key to tensor, as found in the file.
        file_size: Bytes of the file, more than which its weights cannot have.

    Raises:
        CheckpointError: A key or value is not what a state_dict holds, or is not finite.
    """
    names = clean_names(state_dict)
    tensors = {bare: _tensor(key, state_dict[key]) for key, bare in names.bare.items()}
    if not tensors:
        raise CheckpointError(f"holds no weights: {ADVICE}")
    _check_size(tensors.values(), file_size)
    weights = {
        key: tensor.resolve_neg().to(_TARGETS[tensor.dtype]).contiguous()
        for key, tensor in tensors.items()
    }
    _check_finite(weights)
    return Clean(weights, names.notes + _conversions(tensors.values()))


def clean_names(keys: Iterable[object]) -> Names:
    """Drop counters, then every prefix that all the other keys share.

    Raises:
        CheckpointError: A key is no text.
    """
    bare = {_text(key): _text(key) for key in keys}
    thop = [key for key in bare if key.rpartition(".")[2] in THOP_COUNTERS]
    notes = [f"{len(thop)} thop counters"] if thop else []
    for key in thop:
        del bare[key]
    if bare.pop(SWA_COUNTER, None):
        notes.append(f"counter {SWA_COUNTER}")
    while prefix := _shared_prefix(bare.values()):
        bare = {key: name.removeprefix(prefix) for key, name in bare.items()}
        notes.append(f"prefix {prefix}")
    return Names(bare, tuple(notes))


def _text(key: object) -> str:
    if not isinstance(key, str):
        raise CheckpointError(f"has the key {key!r:.60} in its state_dict, not a text: {ADVICE}")
    return key


def _shared_prefix(names: Iterable[str]) -> str | None:
    shared = (p for p in PREFIXES if names and all(name.startswith(p) for name in names))
    return next(shared, None)


def _tensor(key: str, value: object) -> Tensor:
    found = f"a value of type {type(value).__name__}"
    if isinstance(value, Tensor) and type(value) in (Tensor, nn.Parameter):
        if value.layout is torch.strided and not value.is_meta and value.dtype in _TARGETS:
            return value.detach()
        kind = "meta (dataless)" if value.is_meta else f"{value.layout} {value.dtype}"
        found = f"a {kind.replace('torch.', '')} tensor"
    raise CheckpointError(f"has {found} under {key!r:.80}, not a dense real tensor: {ADVICE}")


def _check_size(tensors: Iterable[Tensor], file_size: int) -> None:
    """Refuse repeated items: expanded tensors would grow when they are made contiguous."""
    claimed = sum(tensor.numel() * tensor.itemsize for tensor in tensors)
    if claimed > file_size:
        raise CheckpointError(
            f"claims {claimed:,} bytes of weights in a file of {file_size:,} bytes, by repeating "
            f"what it stores: {ADVICE}"
        )


def _check_finite(weights: Mapping[str, Tensor]) -> None:
    bad = {key: tensor for key, tensor in weights.items() if not _is_finite(tensor)}
    if bad:
        first, tensor = next(iter(bad.items()))
        count = int((~tensor.isfinite()).sum())
        raise CheckpointError(
            f"has NaN or infinite weights in {len(bad)} of {len(weights)} tensors ({count} of "
            f"{tensor.numel()} values in {first!r:.80}, the first): the training diverged; give "
            "an earlier checkpoint"
        )


def _is_finite(tensor: Tensor) -> bool:
    """Say whether all values are finite, without a temporary of the tensor's size.

    By NumPy, whose reductions run in one thread: on a machine with all cores busy, torch's waited
    8 ms a tensor for its other threads.
    """
    if not (tensor.is_floating_point() and tensor.numel()):
        return True
    with np.errstate(invalid="ignore"):
        values = tensor.numpy()
        return bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def _conversions(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    counts = Counter(t.dtype for t in tensors if t.dtype is not _TARGETS[t.dtype])
    return tuple(
        f"{count} {dtype} tensors made {_TARGETS[dtype]}".replace("torch.", "")
        for dtype, count in counts.items()
    )
