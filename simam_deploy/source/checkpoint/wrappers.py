"""Find the weights in what a training script saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import nn

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.cleaning import without_counters
from simam_deploy.source.checkpoint.content import ADVICE, brief, reason
from simam_deploy.source.checkpoint.inert import Inert, is_network, state_dict_of
from simam_deploy.source.checkpoint.keys import bare

EMA_ENTRIES = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema")
MODEL_ENTRIES = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
MAX_DEPTH = 3
"""{"ema": {"module": {"state_dict": ...}}} is the deepest seen; a dict may hold itself."""
MAX_ENTRIES = 50
"""Dicts and networks under known names. There are 12 names, so 1,728 places for large ones."""


class Weights(NamedTuple):
    """A raw state_dict, where it was ("" at the top, else "ema.module"), and what was decided."""

    entry: str
    state_dict: Mapping[object, object]
    notes: tuple[str, ...]


class NoWeightsError(CheckpointError):
    """There is no state_dict where one could be."""


def find_weights(tree: object) -> Weights:
    """Return the state_dict in `tree`; EMA weights are preferred.

    Raises:
        NoWeightsError: There is none.
        CheckpointError: There is more than one with nothing to choose by.
    """
    root = _unwrap(tree)
    if not isinstance(root, Mapping):
        raise NoWeightsError(f"holds a {_type(tree)}, not a state_dict: {ADVICE}")
    found = _distinct(_search(root, "", MAX_DEPTH, set()))
    averaged = {entry: found.pop(entry) for entry in list(found) if _is_averaged(entry)}
    if not found and not averaged and _is_state_dict(root):
        return Weights("", root, ())
    entry, state_dict = _only(averaged or found, root)
    notes: tuple[str, ...] = ()
    if averaged and found:
        other = next(iter(found))
        _check_complete(entry, state_dict, other, found[other])
        notes = (f"{entry} preferred over {other}",)
    return Weights(entry, state_dict, notes)


def saved_whole(tree: object, entry: str) -> str:
    """Give the class of the network at an entry that was saved whole; "" of a state_dict."""
    for name in entry.split(".") if entry else ():
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree.name if isinstance(tree, Inert) and is_network(tree) else ""


def _search(
    tree: Mapping[object, object], path: str, depth: int, seen: set[tuple[int, int]]
) -> Iterator[tuple[str, Mapping[object, object]]]:
    for name in (*EMA_ENTRIES, *MODEL_ENTRIES):
        stored = tree.get(name)
        if not isinstance(stored, (Mapping, nn.Module)) or (id(stored), depth) in seen:
            continue
        seen.add((id(stored), depth))
        if len(seen) > MAX_ENTRIES:
            raise CheckpointError(f"holds more than {MAX_ENTRIES} dicts as weights: {ADVICE}")
        value = _unwrap(stored)
        assert isinstance(value, Mapping)
        if _is_state_dict(value):
            yield path + name, value
        elif depth > 1:
            yield from _search(value, f"{path}{name}.", depth - 1, seen)


def _distinct(
    found: Iterator[tuple[str, Mapping[object, object]]],
) -> dict[str, Mapping[object, object]]:
    """Keep the first name of each state_dict: some scripts save one under two names."""
    entries: dict[str, Mapping[object, object]] = {}
    for entry, state_dict in found:
        if all(state_dict is not other for other in entries.values()):
            entries[entry] = state_dict
    return entries


def _only(
    found: dict[str, Mapping[object, object]], root: Mapping[object, object]
) -> tuple[str, Mapping[object, object]]:
    if not found:
        names = ", ".join(map(brief, list(root)[:8])) or "nothing"
        raise NoWeightsError(f"holds no weights under a known name (it holds {names}): {ADVICE}")
    if len(found) > 1:
        names = " and ".join(repr(entry) for entry in found)
        raise CheckpointError(f"holds weights under {names}: save the one you want alone")
    return next(iter(found.items()))


def _check_complete(
    entry: str, averaged: Mapping[object, object], other: str, model: Mapping[object, object]
) -> None:
    """Refuse averages without the buffers: half a network each from two places is a guess."""
    kept = set(_names(averaged))
    missing = [name for name in _names(model) if name not in kept]
    if missing:
        raise CheckpointError(
            f"has {len(missing)} tensors in {other!r} that {entry!r} lacks (first "
            f"{missing[0]!r}): merge them, or save the one you want alone"
        )


def _names(state_dict: Mapping[object, object]) -> list[str]:
    return list(bare(without_counters(state_dict).keys).names.values())


def _is_averaged(entry: str) -> bool:
    return not set(entry.split(".")).isdisjoint(EMA_ENTRIES)


def _is_state_dict(value: Mapping[object, object]) -> bool:
    """Say whether most values are tensors; {epoch, best_acc: tensor, arch} is no state_dict."""
    tensors = sum(isinstance(item, torch.Tensor) for item in value.values())
    return tensors > 0 and 2 * tensors >= len(value)


def _unwrap(value: object) -> object:
    """Return a module's state_dict, be it an object that runs (trusted) or one that is inert."""
    if isinstance(value, Inert):
        return state_dict_of(value) if is_network(value) else value
    if not isinstance(value, nn.Module):
        return value
    try:
        return value.state_dict()
    except Exception as error:  # an old module under new code lacks whatever the code expects
        raise CheckpointError(
            f"holds a {_type(value)} that gives no state_dict ({reason(error)}): {ADVICE}"
        ) from None


def _type(value: object) -> str:
    return type(value).__name__
