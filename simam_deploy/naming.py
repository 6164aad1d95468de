"""What a source's file name ends with, and what is left of it for what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

CHECKPOINTS = (".pth", ".pt", ".tar", ".pt2", ".safetensors", ".ckpt", ".bin")
SOURCES = (*CHECKPOINTS, ".onnx")


def stem_of(path: Path, suffixes: Sequence[str] = SOURCES) -> str:
    """Take every known suffix off: `best.pth.tar` is `best`."""
    while path.suffix.lower() in suffixes:
        path = path.with_suffix("")
    return path.name
