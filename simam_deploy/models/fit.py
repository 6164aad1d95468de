"""How well a checkpoint's keys and shapes fit each network of the zoo."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from simam_deploy.core.specs import Shapes
from simam_deploy.models.sizes import HEADS, shown_inner, shown_outputs, shown_widths
from simam_deploy.models.spelling import Spelling, spellings
from simam_deploy.models.zoo import Network

COUNTER = "num_batches_tracked"
"""Batch norm's training counter: files older than PyTorch 0.4.1 lack it, inference ignores it."""
_NAMED_PER_KIND = 2


@dataclass(frozen=True)
class Fit:
    """One network, at one size and in one spelling, held against a checkpoint.

    Attributes:
        network: The network.
        spelling: How the checkpoint would name its tensors.
        widths: Base widths.
        num_outputs: Classes or embedding size; None for a backbone.
        inner: Inner sizes of its attention modules, in forward order; none if as published.
        names: Spelt key -> key in the authors' layout.
        rows: Spelt key -> shape.
        distance: How many keys are missing, unexpected or misshapen.
    """

    network: Network
    spelling: Spelling
    widths: tuple[int, ...]
    num_outputs: int | None
    inner: tuple[int, ...]
    names: dict[str, str]
    rows: dict[str, tuple[int, ...]]
    distance: int


def shares_keys(shapes: Shapes, networks: Iterable[Network]) -> bool:
    """Tell whether a checkpoint has any key of the first network of any body.

    All of a body begin alike. To find the nearest of 40 for a file that is near to none, all would
    be made, which takes 2 s.
    """
    firsts = {network.body: network for network in reversed(tuple(networks))}
    return any(not shapes.keys().isdisjoint(fit.rows) for fit in _fits(shapes, [*firsts.values()]))


def closest_fit(shapes: Shapes, networks: Iterable[Network]) -> Fit:
    """Find the network, size and spelling that `shapes` differ least from.

    Args:
        shapes: Key -> shape of the checkpoint, any prefix removed.
        networks: The networks to try, at least one; earlier ones win ties.
    """
    known = tuple(networks)
    likely = sorted(known, key=lambda network: _unlikeliness(network, shapes))
    exact = next((fit for fit in _fits(shapes, likely) if not fit.distance), None)
    return exact or min(_fits(shapes, known), key=lambda fit: fit.distance)


def _unlikeliness(network: Network, shapes: Shapes) -> tuple[bool, int]:
    """Order networks by what a glance at the keys tells: making each on the way costs 2 s for all.

    Nothing hangs on it but time: no two networks have the same keys and shapes.
    """
    head = f"{HEADS[network.body]}.weight"
    has_head = any(spelling.respell(head) in shapes for spelling in spellings(network.attention))
    first_convolutions = sum(key.endswith("conv1.weight") for key in shapes)
    stem_and_blocks = 1 + sum(network.blocks)
    return has_head == (network.num_outputs is None), abs(stem_and_blocks - first_convolutions)


def _fits(shapes: Shapes, networks: Sequence[Network]) -> Iterator[Fit]:
    for spelling in dict.fromkeys(s for net in networks for s in spellings(net.attention)):
        for network in (net for net in networks if spelling in spellings(net.attention)):
            num_outputs = shown_outputs(network, shapes)
            # A damaged stem must not hide a network that is otherwise whole: try both sizes.
            for widths in dict.fromkeys((shown_widths(network, shapes), network.widths)):
                with contextlib.suppress(ValueError):  # no network of such widths: a damaged stem
                    yield _fit(shapes, network, spelling, widths, num_outputs)


def _fit(
    shapes: Shapes,
    network: Network,
    spelling: Spelling,
    widths: tuple[int, ...],
    num_outputs: int | None,
) -> Fit:
    from simam_deploy.models.create import expected_shapes  # torch: late

    official = expected_shapes(network, widths, num_outputs)
    inner = shown_inner(network, official, spelling, shapes)
    official = expected_shapes(network, widths, num_outputs, inner)
    names = {spelling.respell(key): key for key in official}
    rows = {spelt: official[key] for spelt, key in names.items()}
    absent = sum(key not in shapes and not key.endswith(COUNTER) for key in rows)
    present = [key for key in rows if key in shapes]
    misshapen = sum(shapes[key] != rows[key] for key in present)
    distance = absent + misshapen + len(shapes) - len(present)
    return Fit(network, spelling, widths, num_outputs, inner, names, rows, distance)


def describe_differences(rows: Shapes, shapes: Shapes) -> str:
    """Count the keys that fit, name the first differences of each kind, say how many more.

    Args:
        rows: Key -> shape that a network has.
        shapes: Those that a checkpoint has.
    """
    fitting = sum(shapes.get(key) == row for key, row in rows.items())
    misshapen = [key for key, row in rows.items() if shapes.get(key, row) != row]
    missing = [key for key in rows if key not in shapes and not key.endswith(COUNTER)]
    unexpected = [key for key in shapes if key not in rows]
    named = [
        *(f"{show(key)} is {shapes[key]}, not {rows[key]}" for key in misshapen[:_NAMED_PER_KIND]),
        *(f"{show(key)} is missing" for key in missing[:_NAMED_PER_KIND]),
        *(f"{show(key)} is unexpected" for key in unexpected[:_NAMED_PER_KIND]),
    ]
    more = len(misshapen) + len(missing) + len(unexpected) - len(named)
    named += [f"and {more} more"] * bool(more)
    return f"{fitting} of {len(rows)} keys fit: {'; '.join(named)}"


def show(key: str) -> str:
    """Make a key from a file fit to print: one line, at most 80 characters."""
    text = key if key.isprintable() and key else ascii(key)
    return text if len(text) <= 80 else f"{text[:50]}...{text[-27:]}"
