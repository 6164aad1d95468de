"""What a user may say of a source, and of the samples that go with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from simam_deploy.core.options import FILE, NAMES, NUMBER, POSITIVE, SHAPE, Form, option
from simam_deploy.source.recipes import RECIPES, recipe_form

DYNAMIC = ("none", "batch", "hw")


@dataclass(frozen=True)
class NetworkOptions:
    """What is said of a network; None leaves it to the source.

    Attributes:
        arch: Its name, needed only where the keys show no SimAM.
        model: "file.py:factory" or "package.module:factory", called without arguments, for a
            checkpoint of a network of your own.
        e_lambda: SimAM's lambda; by default what the file or its folder says, else the family's
            published value.
        dynamic: "none", "batch" or "hw" (batch, height and width, or frames); by default "batch",
            and "hw" for audio.
        input_shape: Full shape, or for a published network the shape without the batch; a network
            of your own needs it.
        input_names: Name of the graph's input, alone in a sequence.
        output_names: Names of the graph's outputs.
        preprocess: How a picture becomes the input, as `simam_deploy.source.recipes` reads it; by
            default what the source says, else what the family's authors do.
        trust_pickle: Whether the source may run code while it is loaded.
    """

    arch: str | None = option(None, "its name, where the keys show no SimAM")
    model: str | None = option(
        None,
        "a network of your own: file.py:factory or package.module:factory",
        metavar="PLACE:FACTORY",
    )
    e_lambda: float | None = option(
        None,
        "SimAM's lambda (default: what the file or its folder says, else the published one)",
        NUMBER,
        said="lambda",
        metavar="L",
    )
    dynamic: str | None = option(
        None,
        "free dimensions: none, the batch, or batch and height and width (frames for audio) "
        "(default: batch; hw for audio)",
        choices=DYNAMIC,
    )
    input_shape: Sequence[int] | None = option(
        None, "e.g. 1x3x224x224 or 3x224x224", SHAPE, metavar="SHAPE"
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
        "a folder of pictures, in subfolders of their classes if they have any, .npz or .npy; "
        "pictures with boxes: COCO's .json or its folder, a folder of images/ and labels/, or its "
        "data.yaml",
        FILE,
        metavar="D",
    )
    limit: int | None = option(None, "the most samples, spread evenly", POSITIVE, metavar="N")
