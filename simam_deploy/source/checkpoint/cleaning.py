"""Make a raw state_dict clean: dense float32 or int64 tensors, finite values, keys understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.claims import needs_code
from simam_deploy.source.checkpoint.content import ADVICE, brief
from simam_deploy.source.checkpoint.inert import Inert
from simam_deploy.source.checkpoint.keys import Spelling, bare

THOP_COUNTERS = ("total_ops", "total_params")
SWA_COUNTER = "n_averaged"
"""What torch.optim.swa_utils.AveragedModel saves beside its `module.`."""

MAX_KEY = 1_000
"""Letters of a key: its prefixes are taken off one by one. A deep network's, wrapped, has 500."""

_TARGETS = {
    **dict.fromkeys((torch.float16, torch.bfloat16, torch.float32, torch.float64), torch.float32),
    **dict.fromkeys((torch.bool, torch.uint8, torch.int8, torch.int16), torch.int64),
    **dict.fromkeys((torch.int32, torch.int64), torch.int64),
}


@dataclass(frozen=True)
class Clean:
    """Clean weights by their keys in the file, what was converted, and what the keys mean."""

    values: Mapping[str, Tensor]
    spelling: Spelling
    counters: tuple[str, ...]
    conversions: tuple[str, ...]

    @property
    def weights(self) -> dict[str, Tensor]:
        """By the keys that are meant."""
        return {name: self.values[key] for key, name in self.spelling.names.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was stripped or converted."""
        return self.counters + self.spelling.notes + self.conversions


class Kept(NamedTuple):
    """The keys of weights, and what was dropped beside them."""

    keys: tuple[str, ...]
    notes: tuple[str, ...]


def clean(state_dict: Mapping[object, object], file_size: int) -> Clean:
    """Return `state_dict`'s weights in float32 or int64, contiguous, on the CPU.

    Args:
        state_dict: Key to tensor, as found in the file.
        file_size: Bytes of the file, more than which its weights cannot have.

    Raises:
        CheckpointError: A key or value is not what a state_dict holds, or is not finite.
    """
    kept = without_counters(state_dict)
    tensors = {key: _tensor(key, state_dict[key]) for key in kept.keys}
    if not tensors:
        raise CheckpointError(f"holds no weights: {ADVICE}")
    views = {_view(tensor): tensor for tensor in tensors.values()}
    _check_size(views.values(), file_size)
    made = {
        view: tensor.resolve_neg().to(_TARGETS[tensor.dtype]).contiguous()
        for view, tensor in views.items()
    }
    values = {key: made[_view(tensor)] for key, tensor in tensors.items()}
    _check_finite(values)
    return Clean(values, bare(values), kept.notes, _conversions(tensors.values()))


def without_counters(keys: Iterable[object]) -> Kept:
    """Drop the counters that tools leave among weights.

    Raises:
        CheckpointError: A key is no text.
    """
    texts = [_text(key) for key in keys]
    thop = {key for key in texts if key.rpartition(".")[2] in THOP_COUNTERS}
    kept = tuple(key for key in texts if key not in thop and key != SWA_COUNTER)
    notes = [f"{len(thop)} thop counters"] if thop else []
    notes += [f"counter {SWA_COUNTER}"] if SWA_COUNTER in texts else []
    return Kept(kept, tuple(notes))


def _view(tensor: Tensor) -> tuple[object, ...]:
    """Tell views apart: modules that share a tensor are saved with several keys of one."""
    place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset())
    return (*place, tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.is_neg())


def _text(key: object) -> str:
    if not isinstance(key, str):
        raise CheckpointError(f"has the key {brief(key)} in its state_dict, not a text: {ADVICE}")
    if len(key) > MAX_KEY:
        raise CheckpointError(f"has a key of {len(key):,} letters in its state_dict: {ADVICE}")
    return key


def _tensor(key: str, value: object) -> Tensor:
    if isinstance(value, Inert):
        raise needs_code(value.name, f" under {key!r:.80}")
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
