"""What a user may ask of an engine, and the command that says it."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from typing import Any

from simam_deploy.core.conversion import ConversionOptions
from simam_deploy.core.options import FILE, POSITIVE, Form, option, read_shape, words
from simam_deploy.core.specs import Shapes, shape_text

_SHAPE = re.compile(r"(?P<name>.+):(?P<shape>[^:]*)", re.DOTALL)
_NEXT = re.compile(r",(?=[^,]+:)")
_TARGET = re.compile(r"current|sm\d{2,3}")


def _read_shapes(text: str) -> dict[str, tuple[int, ...]]:
    """Read `x:1x3x224x224,y:1x10`."""
    found = {}
    for part in _NEXT.split(text):
        match = _SHAPE.fullmatch(part)
        if match is None:
            raise ValueError(f"not NAME:SHAPE like x:1x3x224x224: {part!r}")
        found[match["name"]] = read_shape(match["shape"])
    return found


def _shapes_text(shapes: Shapes) -> str:
    return ",".join(f"{name}:{shape_text(shape)}" for name, shape in shapes.items())


def _read_targets(text: str) -> tuple[str, ...]:
    targets = tuple(text.lower().replace("sm_", "sm").split(","))
    for target in targets:
        if not _TARGET.fullmatch(target):
            raise ValueError(f"not a target like sm89 or current: {target!r}")
    if len(set(targets)) < len(targets) or ("current" in targets and len(targets) > 1):
        raise ValueError(f"a target stands twice, or beside current: {text!r}")
    return targets


_SHAPES = Form(_read_shapes, _shapes_text)


def _shapes(help: str) -> Any:
    return option((), help, _SHAPES, metavar="SHAPES", several=True)


@dataclass(frozen=True)
class EngineOptions(ConversionOptions):
    """What is asked of an engine.

    Attributes:
        backend: "auto", "tensorrt" or "rtx".
        targets: Compute capabilities as sm89, or "current"; none leaves it to the library.
        min_shapes: Least shapes by input, one mapping a profile; none is as `opt_shapes`.
        opt_shapes: Shapes to tune for; none at all gives a batch of 1 / 8 / 32.
        max_shapes: Largest shapes; none is as `opt_shapes`.
        workspace: Scratch memory in MiB.
        timing_cache: File of timings; TensorRT alone has one.
        plugin: "auto" keeps whichever is better, with or without; "never"; "aot", for kernels in
            the plan and no library where it runs, in TensorRT alone; or a library's path.
        tf32: Whether float32 products may be rounded to TF32.
        cache: Whether a plan that was built before is taken, and this one kept.
    """

    backend: str = option(
        "auto",
        "TensorRT where it is installed and a GPU is there, else TensorRT-RTX (auto)",
        choices=("auto", "tensorrt", "rtx"),
    )
    targets: tuple[str, ...] = option(
        (),
        "GPUs to build for: sm80,sm86,sm89,sm120 or current (default: the library's choice)",
        Form(_read_targets, ",".join),
        said="target",
        metavar="SM,SM",
    )
    min_shapes: tuple[Shapes, ...] = _shapes("least")
    opt_shapes: tuple[Shapes, ...] = _shapes("tuned for")
    max_shapes: tuple[Shapes, ...] = _shapes("largest")
    workspace: int | None = option(None, "scratch memory allowed", POSITIVE, metavar="MIB")
    timing_cache: str | os.PathLike[str] | None = option(
        None, "timings to reuse (TensorRT alone)", FILE, metavar="FILE"
    )
    plugin: str = option(
        "auto",
        "the SimAM plugin: keep it if that is faster, leave it out, put only its kernels into the "
        "plan (TensorRT alone), or take this one (auto)",
        metavar="auto|never|aot|PATH",
    )
    tf32: bool = option(False, "let float32 products round to TF32")
    cache: bool = option(True, "build anew and keep no copy")


def build_command(source: str, output: str, *records: Any) -> str:
    """Word the command that builds a plan: the files' names, and every option that is not left."""
    said = [word for record in records for word in words(record)]
    return shlex.join(["simam-build", source, "-o", output, *said])
