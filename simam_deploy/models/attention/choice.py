"""The attention of one network: its modules, and where in a block each stands."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from simam_deploy.models.attention.bam import BAM
from simam_deploy.models.attention.cbam import CBAM
from simam_deploy.models.attention.eca import ECA, kernel_of
from simam_deploy.models.attention.gc import GC
from simam_deploy.models.attention.kinds import AttentionName
from simam_deploy.models.attention.se import SE
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.models.attention.srm import SRM

REDUCTION = 16
"""Channels over hidden channels: the default of the SimAM authors' modules, and of every paper."""


class Attention:
    """Makes the modules of a network's blocks, which ask for them in forward order.

    The SimAM authors place SimAM on the map of a block's second convolution, before its batch
    norm, and any other last in the block's branch, before the shortcut is added.

    Args:
        name: Which attention.
        e_lambda: SimAM's lambda.
        inner: The inner size of each module, in forward order; as published where there is none
            left: a sixteenth of the channels, or ECA's kernel by the paper's rule.
    """

    def __init__(self, name: AttentionName, e_lambda: float, inner: Iterable[int] = ()) -> None:
        self._name = name
        self._e_lambda = e_lambda
        self._inner = iter(inner)

    def on_map(self) -> tuple[nn.Module, ...]:
        """Make what stands behind a block's second convolution: SimAM, or nothing."""
        return (SimAM(self._e_lambda),) if self._name == "simam" else ()

    def on_branch(self, channels: int) -> tuple[nn.Module, ...]:
        """Make what stands last in a block's branch of so many channels: all but SimAM."""
        if self._name in ("simam", "none"):
            return ()
        return (self._make(channels),)

    def _make(self, channels: int) -> nn.Module:
        if self._name == "srm":
            return SRM(channels)
        if self._name == "eca":
            return ECA(next(self._inner, kernel_of(channels)))
        hidden = next(self._inner, max(channels // REDUCTION, 1))
        made = {"se": SE, "cbam": CBAM, "gc": GC, "bam": BAM}[self._name]
        return made(channels, hidden)
