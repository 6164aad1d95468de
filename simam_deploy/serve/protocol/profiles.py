"""The shapes that an engine was built for; an ONNX Runtime session has none and takes any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from simam_deploy.core.arrays import Feeds
from simam_deploy.runtime import Runner
from simam_deploy.serve.protocol.refusals import BadRequest


class Range(Protocol):
    """What a profile takes at one input: full shapes, `opt` the one it is tuned for."""

    @property
    def name(self) -> str:
        """The input's."""
        ...

    @property
    def min(self) -> tuple[int, ...]:
        """The smallest shape."""
        ...

    @property
    def opt(self) -> tuple[int, ...]:
        """The usual shape."""
        ...

    @property
    def max(self) -> tuple[int, ...]:
        """The largest shape."""
        ...


Profile = Sequence[Range]
"""One range per input."""


def profiles_of(runner: Runner) -> tuple[Profile, ...]:
    """Give the profiles of an engine's runner."""
    return tuple(getattr(runner, "profiles", ()))


def most_rows(profiles: Sequence[Profile], wanted: int) -> int:
    """Give the largest batch, at most `wanted`, that some profile takes at every input."""
    largest = [min(r.max[0] for r in profile) for profile in profiles]
    return min(wanted, max(largest, default=wanted))


def usual_shapes(profiles: Sequence[Profile]) -> dict[str, tuple[int, ...]]:
    """Give the shapes that the first profile is tuned for, by input."""
    return {r.name: r.opt for profile in profiles[:1] for r in profile}


def check_profiles(profiles: Sequence[Profile], feeds: Feeds) -> None:
    """See that one profile takes every input.

    Raises:
        BadRequest: None does.
    """
    if not profiles or any(_takes(profile, feeds) for profile in profiles):
        return
    given = ", ".join(f"{name} {_x(array.shape)}" for name, array in feeds.items())
    built = "; ".join(
        ", ".join(f"{r.name} {_x(r.min)} to {_x(r.max)}" for r in profile) for profile in profiles
    )
    raise BadRequest(f"unexpected shape: {given} is outside of what the engine takes ({built})")


def _takes(profile: Profile, feeds: Feeds) -> bool:
    return all(
        low <= size <= high
        for r in profile
        for low, size, high in zip(r.min, feeds[r.name].shape, r.max, strict=True)
    )


def _x(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
