"""How a state_dict's keys may be meant: as stored, or without what wrappers put into them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""A module that wraps another holds it by this name: DataParallel, torch.compile, FSDP, and
activation checkpointing. They stand anywhere in a key, for any layer may be wrapped."""
HOLDER = "model"
"""Lightning's name for the network, beside which losses and metrics may hold weights."""


@dataclass(frozen=True)
class Spelling:
    """A way to read the keys of a file.

    Attributes:
        names: Key in the file -> key that is meant, distinct; a key left out is none of the
            network's.
        notes: What was done, as "prefix module."; empty for the keys as stored.
    """

    names: Mapping[str, str]
    notes: tuple[str, ...] = ()


def bare(keys: Iterable[str]) -> Spelling:
    """Take away all that wrappers and holders put into keys: what a published network's are.

    A prefix goes where all keys share it, a wrapper's name also inside of keys. Of keys of which
    most stand under `HOLDER`, the others are left out.
    """
    spelling = _without_wrappers(_without_prefixes(Spelling({key: key for key in keys})))
    return _without_prefixes(_without_neighbours(spelling))


def spellings(keys: Collection[str]) -> Iterator[Spelling]:
    """List the ways to read keys of an unknown network, the likeliest first."""
    spelling = Spelling({key: key for key in keys})
    for start in (spelling, _without_wrappers(spelling)):
        current: Spelling | None = start
        while current is not None:
            yield current
            current = _without_first(current, _shared(current))
    spelling = _without_wrappers(spelling)
    for first, names in _by_first(spelling).items():
        yield _under(spelling, first, names)


def under_prefix(spelling: Spelling, prefix: str) -> Spelling:
    """Put a prefix before all keys, for a network that is wrapped where the file's was not."""
    names = {key: f"{prefix}{name}" for key, name in spelling.names.items()}
    return Spelling(names, (*spelling.notes, f"prefix {prefix} put before"))


def shared_prefix(names: Iterable[str]) -> str:
    """Give the first part that all names share, with its dot, or ""."""
    parts = {name.partition(".")[:2] for name in names}
    return "".join(parts.pop()) if len(parts) == 1 else ""


def _shared(spelling: Spelling) -> str:
    prefix = shared_prefix(spelling.names.values())
    return prefix if prefix.endswith(".") else ""


def _without_first(spelling: Spelling, prefix: str) -> Spelling | None:
    if not prefix:
        return None
    names = {key: name.removeprefix(prefix) for key, name in spelling.names.items()}
    return Spelling(names, (*spelling.notes, f"prefix {prefix}"))


def _without_prefixes(spelling: Spelling) -> Spelling:
    """Take known prefixes off while all keys share one."""
    while (prefix := _shared(spelling)) and prefix[:-1] in (*WRAPPERS, HOLDER):
        spelling = _without_first(spelling, prefix) or spelling
    return spelling


def _without_wrappers(spelling: Spelling) -> Spelling:
    """Take the wrappers' names out of keys, unless two keys would become one."""
    names, counts = {}, dict.fromkeys(WRAPPERS, 0)
    for key, name in spelling.names.items():
        *parts, last = name.split(".")
        for part in set(parts).intersection(WRAPPERS):
            counts[part] += 1
        names[key] = ".".join([*(part for part in parts if part not in WRAPPERS), last])
    if not any(counts.values()) or len(set(names.values())) < len(names):
        return spelling
    said = (
        f"{part}. in {count} {'key' if count == 1 else 'keys'}"
        for part, count in counts.items()
        if count
    )
    return Spelling(names, (*spelling.notes, *said))


def _without_neighbours(spelling: Spelling) -> Spelling:
    """Leave out the few keys that stand beside `HOLDER`: they are a loss's or a metric's."""
    inside = _by_first(spelling).get(HOLDER, {})
    few = 2 * len(inside) > len(spelling.names) > len(inside)
    return _under(spelling, HOLDER, inside) if few else spelling


def _by_first(spelling: Spelling) -> dict[str, dict[str, str]]:
    """Group keys by their names' first part, which is left out.

    In one pass, for of 100,000 keys each may have a first part of its own.
    """
    groups: dict[str, dict[str, str]] = {}
    for key, name in spelling.names.items():
        first, dot, rest = name.partition(".")
        if dot:
            groups.setdefault(first, {})[key] = rest
    return groups


def _under(spelling: Spelling, first: str, names: Mapping[str, str]) -> Spelling:
    """Keep what stands under one holder."""
    out = len(spelling.names) - len(names)
    some = ", ".join(islice((key for key in spelling.names if key not in names), 2))
    beside = f"{_keys(out)} beside {first}. left out ({some}{', ...' * (out > 2)})"
    notes = (f"prefix {first}.", *([beside] if out else []))
    return Spelling(names, (*spelling.notes, *notes))


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count} keys"
