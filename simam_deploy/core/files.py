"""Files: what their names say, what belongs to them, and the hash that they are known by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

CHECKPOINTS = (".pth", ".pt", ".tar", ".pt2", ".safetensors", ".ckpt", ".bin")
SOURCES = (*CHECKPOINTS, ".onnx")
PLANS = (".engine", ".plan", ".trt")
"""Suffixes of a plan."""
_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """Hash a file, as 64 hexadecimal digits, in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def stem_of(path: Path, suffixes: Sequence[str] = SOURCES) -> str:
    """Take every known suffix off: `best.pth.tar` is `best`."""
    while path.suffix.lower() in suffixes:
        path = path.with_suffix("")
    return path.name


def parts(artifact: Path) -> list[Path]:
    """List the files that make up an .onnx: itself and its external data, if it has any."""
    data = artifact.with_name(f"{artifact.name}.data")
    return [artifact, data] if data.exists() else [artifact]
