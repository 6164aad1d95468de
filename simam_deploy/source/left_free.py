"""Sizes that a user leaves free in a shape, instead of asking for free dimensions by their word."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from simam_deploy.core.specs import shape_text
from simam_deploy.errors import UsageError
from simam_deploy.source.options import DYNAMIC, NetworkOptions

ASSUMED_SIZE = 224
"""Of a free dimension that nobody states: a multiple of 32, which detectors want."""
IMAGE_AXES = frozenset({0, 2, 3})
"""Of (N, C, H, W): what may be free of a network that says nothing of itself."""


def left_free(shape: Sequence[int] | None) -> tuple[int, ...]:
    """Give the axes that a shape leaves free: those of a size below 1."""
    return tuple(axis for axis, size in enumerate(shape or ()) if size < 1)


def with_dynamic(options: NetworkOptions) -> NetworkOptions:
    """Say the word for what the shape leaves free: beyond the batch it is "hw".

    Raises:
        UsageError: Another word is said.
    """
    axes = left_free(options.input_shape)
    if not axes:
        return options
    wanted, said = DYNAMIC[2 if axes[-1] else 1], options.dynamic
    if said in DYNAMIC and DYNAMIC.index(said) < DYNAMIC.index(wanted):
        raise UsageError(
            f"an input of {shape_text(options.input_shape or ())} leaves more free than {said}: "
            "say one of them",
            options=("input_shape", "dynamic"),
        )
    return options if wanted == "batch" else replace(options, dynamic=wanted)


def filled(
    shape: Sequence[int], usual: Sequence[int], free: Collection[int] = IMAGE_AXES
) -> tuple[int, ...]:
    """Fill in what a shape leaves free.

    Args:
        shape: With the batch or, of a published network, without.
        usual: The full shape to take sizes from.
        free: The axes of that which may be free.

    Raises:
        UsageError: Another is left free.
    """
    without = len(usual) - len(shape)
    axes = left_free(shape)
    if any(axis + without not in free for axis in axes):
        can = " and ".join(str(axis + 1 - without) for axis in sorted(free) if axis >= without)
        raise UsageError(
            f"an input of {shape_text(shape)} leaves a size free that cannot be: only those in "
            f"place {can} can",
            options=("input_shape",),
        )
    return tuple(usual[i + without] if i in axes else size for i, size in enumerate(shape))
