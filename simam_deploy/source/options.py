"""What a user may say of a source, and of the samples that go with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from simam_deploy.core.options import (
    FILE,
    NAMES,
    NUMBER,
    OPEN_SHAPE,
    POSITIVE,
    Form,
    option,
    read_shape,
)
from simam_deploy.core.specs import ELEMENTS, TensorSpec, shape_text
from simam_deploy.models.attention.kinds import KINDS, AttentionName
from simam_deploy.source.recipes import RECIPES, recipe_form

DYNAMIC = ("none", "batch", "hw")
_HALVES = ("float16", "bfloat16")
_TYPES = tuple(element.name for element in ELEMENTS if element.name not in _HALVES)
"""What an input of a source may be; halves are made by converting, which takes inputs along."""


def read_input(text: str) -> TensorSpec:
    """Read `left:float32:1x3x64x64`; a single number has no shape, as `limit:float32`.

    Raises:
        ValueError: It is no such thing.
    """
    name, _, rest = text.partition(":")
    dtype, colon, shape = rest.partition(":")
    if not name.isidentifier():
        raise ValueError(f"not NAME:DTYPE:SHAPE like left:float32:1x3x64x64: {text!r}")
    if dtype in _HALVES:
        raise ValueError(f"a source takes no {dtype}, conversion makes it: say float32: {text!r}")
    if dtype not in _TYPES:
        raise ValueError(f"not a type, which is one of {', '.join(_TYPES)}: {dtype!r}")
    return TensorSpec(name, dtype, read_shape(shape) if colon else ())


def input_text(spec: TensorSpec) -> str:
    """Write an input as `read_input` reads it."""
    return ":".join([spec.name, spec.dtype, *([shape_text(spec.shape)] if spec.shape else [])])


@dataclass(frozen=True)
class NetworkOptions:
    """What is said of a network; None leaves it to the source.

    Attributes:
        arch: Its name, needed only where the keys show no attention: it says that SimAM stands in
            its official place; or a backbone's, for that of a detector alone.
        attention: What a published network has: a name of `models.attention.kinds.KINDS`. Needed
            only where the keys show none, to say "none", or "simam" as `arch` does; what the keys
            show must be what it says.
        model: "file.py:factory" or "package.module:factory", called without arguments, for a
            checkpoint of a network of your own.
        e_lambda: SimAM's lambda, of a published network: any other has its own; by default what
            the file or its folder says, else the family's published value.
        dynamic: "none", "batch" or "hw" (batch, height and width, or frames); by default "batch",
            and "hw" for audio and whole detectors.
        input_shape: Full shape, or for a published network the shape without the batch; by default
            of the size that the file says, else the published one. A size below 1 is left free, as
            `dynamic` would, and is the one that would be taken without. A network of your own needs
            it where its file says none, or `inputs`.
        inputs: What a network of your own takes, where that is more than one float32 array: a
            `TensorSpec` each, all sizes given. One whose name is one of forward's arguments goes
            there, the others by position. What has the first one's first size shares its batch.
        input_names: Name of the graph's input, alone in a sequence; of a whole detector that of its
            picture's size too.
        output_names: Names of the graph's outputs.
        preprocess: How a picture becomes the input, as `simam_deploy.source.recipes` reads it; by
            default what the source says, else what the family's authors do.
        trust_pickle: Whether the source may run code while it is loaded.
        allow_none: Whether a network is taken in which no SimAM is found.
    """

    arch: str | None = option(
        None,
        "its name, where the keys show no attention and SimAM stands in its official place; or "
        "e.g. resnet50_backbone, for that of a detector alone",
    )
    attention: AttentionName | None = option(
        None,
        "what a known network has, where its keys show nothing: simam, or none if it is a plain "
        "one; anything else is told by the keys, and must agree with them",
        choices=tuple(KINDS),
    )
    model: str | None = option(
        None,
        "a network of your own: file.py:factory or package.module:factory",
        metavar="PLACE:FACTORY",
    )
    e_lambda: float | None = option(
        None,
        "SimAM's lambda, of a known network (default: what the file or its folder says, else the "
        "published one)",
        NUMBER,
        said="lambda",
        metavar="L",
    )
    dynamic: str | None = option(
        None,
        "free dimensions: none, the batch, or batch and height and width (frames for audio) "
        "(default: batch; hw for audio and whole detectors)",
        choices=DYNAMIC,
    )
    input_shape: Sequence[int] | None = option(
        None,
        "e.g. 1x3x224x224 or 3x224x224; -1, 0, or batch, height, width, frames leaves a size free, "
        "as in -1x3x-1x-1 "
        "(default: what the file says, else the published one)",
        OPEN_SHAPE,
        metavar="SHAPE",
    )
    inputs: tuple[TensorSpec, ...] = option(
        (),
        "an input of a network of your own that takes several, or another type than float32; "
        "once for each, e.g. left:float32:1x3x64x64, ids:int64:1x16, or limit:float32 for a number",
        Form(read_input, input_text),
        said="input",
        metavar="NAME:DTYPE:SHAPE",
        several=True,
    )
    input_names: Sequence[str] | None = option(None, "the input's name", NAMES, metavar="NAME")
    output_names: Sequence[str] | None = option(None, "the outputs' names", NAMES, metavar="A,B")
    preprocess: str | None = option(
        None,
        f"how a picture becomes the input: {', '.join(RECIPES)}, or a list (or a name and a list) "
        "of resize=SIDE or WIDTHxHEIGHT, crop=SIDE, letterbox=centre or corner with fill= (114; "
        "none: zeros after normalising) and divisor=, mean=, std=, scale= (1/255) and order=RGB "
        "or BGR (default: what the source says)",
        Form(recipe_form),
        metavar="RECIPE",
    )
    trust_pickle: bool = option(
        False, "let the file run code while it loads: only for files you made yourself"
    )
    allow_none: bool = option(
        False, "take a network in which no SimAM is found: no gate is judged then"
    )


@dataclass(frozen=True)
class SampleOptions:
    """Samples, if there are any.

    Attributes:
        data: A folder, .npz, .npy, COCO's .json or YOLO's data.yaml, as
            `simam_deploy.source.samples` takes.
        limit: The most samples, spread evenly; None takes all.
    """

    data: str | os.PathLike[str] | None = option(
        None,
        "a folder of pictures, in subfolders of their classes if they have any, .npz or .npy; for "
        "several inputs an .npz with an array for each, named as they are; "
        "pictures with boxes: COCO's .json or its folder, a folder of images/ and labels/, or its "
        "data.yaml",
        FILE,
        metavar="D",
    )
    limit: int | None = option(None, "the most samples, spread evenly", POSITIVE, metavar="N")
