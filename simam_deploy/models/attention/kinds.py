"""The attention modules that a network can have, and what shows them in a checkpoint.

Nothing here imports torch; `choice` makes the modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from simam_deploy.core.specs import Shapes

AttentionName = Literal["simam", "se", "cbam", "eca", "gc", "srm", "bam", "none"]


@dataclass(frozen=True)
class Kind:
    """One kind of attention.

    Attributes:
        title: Its name for people.
        sign: What its parameters' keys match; None where it has none.
        row: What the shapes of these begin with, where their keys may be others' too.
        inner: The parameter that shows its inner size (hidden channels, or ECA's kernel) and the
            axis of it; None where the channels alone give its shapes.
        attribute: What its own authors' residual blocks call it, where they call it otherwise than
            SimAM's do: those put it into a Sequential with the batch norm before it.
    """

    title: str
    sign: re.Pattern[str] | None = None
    row: tuple[int, ...] = ()
    inner: tuple[str, int] | None = None
    attribute: str | None = None


KINDS: Mapping[AttentionName, Kind] = {
    "simam": Kind("SimAM"),
    "se": Kind(
        "SE",
        re.compile(r"\.(\d+|rclb)\.fc\.\d\.(weight|bias)$|(^|\.)se(_?module|_?layer)?\.", re.I),
        inner=("fc.0.weight", 0),
        attribute="se",
    ),
    "cbam": Kind(
        "CBAM",
        re.compile(r"(^|\.)(ChannelGate|SpatialGate|cbam)\.", re.I),
        inner=("ChannelGate.mlp.1.weight", 0),
        attribute="cbam",
    ),
    "eca": Kind(
        "ECA",
        re.compile(r"\.(\d+|eca)\.conv\.weight$"),
        row=(1, 1),
        inner=("conv.weight", 2),
        attribute="eca",
    ),
    "gc": Kind(
        "GC",
        re.compile(r"\.(conv_mask|channel_add_conv|channel_mul_conv)\."),
        inner=("channel_add_conv.0.weight", 0),
    ),
    "srm": Kind("SRM", re.compile(r"\.cfc(\.weight)?$"), attribute="rclb"),
    "bam": Kind(
        "BAM",
        re.compile(r"(^|\.)(channel_att\.gate_c|spatial_att\.gate_s)\.|^bam\d\.", re.I),
        inner=("channel_att.gate_c.gate_c_fc_0.weight", 0),
    ),
    "none": Kind("no attention"),
}
"""Every kind by the name that it is asked for by."""


def shown_attentions(shapes: Shapes) -> dict[AttentionName, str]:
    """Tell which attention modules a checkpoint has parameters of, with a key of each.

    SimAM has no parameters: it shows in where others stand, or not at all.
    """
    found = {name: next(_signs(kind, shapes), None) for name, kind in KINDS.items()}
    return {name: key for name, key in found.items() if key is not None}


def _signs(kind: Kind, shapes: Shapes) -> Iterator[str]:
    if kind.sign is not None:
        for key, shape in shapes.items():
            if kind.sign.search(key) and tuple(shape[: len(kind.row)]) == kind.row:
                yield key
