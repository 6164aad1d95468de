"""The networks known by name: what each is made of, and its family's published settings.

Nothing here imports torch; `build` turns an entry into a module.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simam_deploy.errors import UsageError
from simam_deploy.models.attention.kinds import KINDS, AttentionName

Body = Literal[
    "resnet",
    "mobilenet_v2",
    "cifar_resnet",
    "cifar_preresnet",
    "cifar_wideresnet",
    "cifar_mobilenetv2",
    "wespeaker",
]


@dataclass(frozen=True)
class Family:
    """What networks trained alike have in common.

    Attributes:
        name: Short name.
        title: A line for people.
        e_lambda: The lambda the authors published for it.
        input_name: Name of the network's one input.
        output_names: Names of its outputs, in order.
        input_shape: The published input shape without the batch.
        dynamic_axes: Axes that may be freed beside the batch, with their names; the batch is 0.
        preprocessing: JSON-able facts: how an input is made from an image or a waveform.
        dynamic: What is free where nobody says it: "batch", or "hw" where inputs come in all sizes.
    """

    name: str
    title: str
    e_lambda: float
    input_name: str
    output_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    dynamic_axes: tuple[tuple[int, str], ...]
    preprocessing: Mapping[str, Any] = field(hash=False)
    dynamic: str = "batch"


@dataclass(frozen=True)
class Network:
    """One entry of the zoo, at its published size.

    Attributes:
        name: What it is asked for by.
        family: Its family.
        body: The module and key layout it uses.
        blocks: Blocks in each stage of a residual network; empty for a MobileNet.
        bottleneck: Three convolutions a block (1x1, 3x3, 1x1) and four times the planes out.
        groups: Groups of the 3x3 convolution in a bottleneck.
        deep_stem: ResNet-D: three 3x3 stem convolutions, and average pooling in its shortcuts.
        widths: Published base widths: the stem's, or the nine of a MobileNet (stem, seven
            stages, head).
        num_outputs: Published classes or embedding size; None for a backbone.
        attention: What its blocks have: SimAM, or what that is compared with.
    """

    name: str
    family: Family
    body: Body
    blocks: tuple[int, ...] = ()
    bottleneck: bool = False
    groups: int = 1
    deep_stem: bool = False
    widths: tuple[int, ...] = (64,)
    num_outputs: int | None = None
    attention: AttentionName = "simam"

    @property
    def title(self) -> str:
        """Its name for people, which says what it has in the place of SimAM."""
        return titled(self.name, self.attention)

    @property
    def attentions(self) -> tuple[AttentionName, ...]:
        """What it is known with: a network for speakers with SimAM alone."""
        return ("simam",) if self.body == "wespeaker" else tuple(KINDS)

    @property
    def expansion(self) -> int:
        """A residual block's output channels over its planes."""
        return 4 if self.bottleneck else 1

    def inner_width(self, planes: int) -> int:
        """Channels of a block's 3x3 convolution: in groups, 4 each at 64 planes ("32x4d")."""
        return planes if self.groups == 1 else planes // 16 * self.groups


def titled(name: str, attention: AttentionName) -> str:
    """Add to a network's name what it has in the place of SimAM."""
    if attention == "simam":
        return name
    if attention == "none":
        return f"{name} without attention"
    return f"{name} with {KINDS[attention].title}"


_PIXELS = ((2, "height"), (3, "width"))
_IMAGENET_NORM = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_RGB = {"kind": "image", "color": "RGB", "layout": "NCHW", "scale": 1 / 255}

IMAGENET = Family(
    "imagenet",
    "ImageNet classifiers",
    0.1,
    "input",
    ("logits",),
    (3, 224, 224),
    _PIXELS,
    {**_RGB, "resize": 256, "crop": 224, **_IMAGENET_NORM},
)
# mmdetection scales the image to fit 1333 x 800 and pads each side to a multiple of 32: no
# landscape image comes out larger than 800 x 1344.
BACKBONE = Family(
    "backbone",
    "ImageNet backbones alone, as detectors hold them",
    0.1,
    "input",
    ("stage1", "stage2", "stage3", "stage4"),
    (3, 800, 1344),
    _PIXELS,
    {**_RGB, "resize": [1333, 800], "keep_ratio": True, "pad_divisor": 32, **_IMAGENET_NORM},
)
CIFAR = Family(
    "cifar",
    "CIFAR classifiers",
    1e-4,
    "input",
    ("logits",),
    (3, 32, 32),
    _PIXELS,
    {**_RGB, "resize": 32, "mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.201]},
)
WESPEAKER = Family(
    "wespeaker",
    "WeSpeaker speaker embeddings",
    1e-4,
    "feats",
    ("embs",),
    (200, 80),
    ((1, "frames"),),
    {
        "kind": "fbank",
        "layout": "BTF",
        "sample_rate": 16000,
        "waveform_scale": 32768,
        "mel_bins": 80,
        "frame_length_ms": 25,
        "frame_shift_ms": 10,
        "window": "hamming",
        "mean_normalised": "utterance",
    },
    dynamic="hw",  # how long somebody speaks nobody knows beforehand
)

_IMAGENET_RESNETS = (
    ("resnet18", (2, 2, 2, 2), False),
    ("resnet34", (3, 4, 6, 3), False),
    ("resnet50", (3, 4, 6, 3), True),
    ("resnet101", (3, 4, 23, 3), True),
    ("resnet152", (3, 8, 36, 3), True),
    ("resnet50d", (3, 4, 6, 3), True),
    ("resnext50_32x4d", (3, 4, 6, 3), True),
)
# Blocks a stage, (basic, bottleneck), as the authors' code counts them: at depths 20 and 32 a
# bottleneck network keeps the basic one's count.
_CIFAR_DEPTHS = {20: (3, 3), 32: (5, 5), 56: (9, 6), 110: (18, 12), 164: (27, 18)}
_MOBILENET_WIDTHS = (32, 16, 24, 32, 64, 96, 160, 320, 1280)


def _imagenet_resnets(family: Family, suffix: str, num_outputs: int | None) -> Iterator[Network]:
    for name, blocks, bottleneck in _IMAGENET_RESNETS:
        yield Network(
            name + suffix,
            family,
            "resnet",
            blocks,
            bottleneck,
            groups=32 if name == "resnext50_32x4d" else 1,
            deep_stem=name == "resnet50d",
            num_outputs=num_outputs,
        )


def _cifar_resnets(body: Literal["cifar_resnet", "cifar_preresnet"]) -> Iterator[Network]:
    """A bare name means the block its depth is known for: bottleneck at 164, else basic."""
    for depth, counts in _CIFAR_DEPTHS.items():
        for bottleneck, count in zip((False, True), counts, strict=True):
            kind = "_bottleneck" if bottleneck else "_basic"
            suffix = "" if bottleneck == (depth == 164) else kind
            yield Network(
                f"{body}{depth}{suffix}",
                CIFAR,
                body,
                (count,) * 3,
                bottleneck,
                widths=(16,),
                num_outputs=10,
            )


def _entries() -> Iterator[Network]:
    yield from _imagenet_resnets(IMAGENET, "", 1000)
    yield Network(
        "mobilenet_v2", IMAGENET, "mobilenet_v2", widths=_MOBILENET_WIDTHS, num_outputs=1000
    )
    yield from _imagenet_resnets(BACKBONE, "_backbone", None)
    yield from _cifar_resnets("cifar_resnet")
    yield from _cifar_resnets("cifar_preresnet")
    for depth in (28, 40):
        blocks = ((depth - 4) // 6,) * 3
        name = f"cifar_wideresnet{depth}x10"
        yield Network(name, CIFAR, "cifar_wideresnet", blocks, widths=(16,), num_outputs=10)
    yield Network(
        "cifar_mobilenetv2", CIFAR, "cifar_mobilenetv2", widths=_MOBILENET_WIDTHS, num_outputs=10
    )
    for depth, blocks4 in ((34, (3, 4, 6, 3)), (100, (6, 16, 24, 3))):
        name = f"wespeaker_simam_resnet{depth}_asp"
        yield Network(name, WESPEAKER, "wespeaker", blocks4, num_outputs=256)


NETWORKS: Mapping[str, Network] = {network.name: network for network in _entries()}
"""Every network by name, with SimAM, in the order in which they are listed."""


def find_network(name: str) -> Network:
    """Look a network up by its name.

    Raises:
        UsageError: There is no network of that name; the message lists close ones.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    close = difflib.get_close_matches(name, NETWORKS, n=4, cutoff=0.4)
    hint = f"did you mean {', '.join(close)}?" if close else "see the list of those known"
    raise UsageError(f"unknown network {name[:60]!r}: {hint}", options=("arch", "list"))
