"""How many kernels a TensorRT-RTX plan of an .onnx launches, which takes no GPU to know."""

from __future__ import annotations

from pathlib import Path

from simam_deploy.core.progress import Progress
from simam_deploy.engine.flavours.choose import FLAVOURS, load_library
from simam_deploy.engine.options import EngineOptions
from simam_deploy.errors import EngineError, SimamError
from simam_deploy.pipeline.build import build

_TARGET = "sm89"
"""What launches are counted for: any will do for a comparison."""


def count_launches(onnx: Path, what: str, progress: Progress) -> tuple[int | None, tuple[str, ...]]:
    """Build a TensorRT-RTX plan beside a file and count its launches.

    Args:
        onnx: The file.
        what: What it is, for the progress.
        progress: Told before it begins.

    Returns:
        The count, None without the library; and why there is none where the file is refused.
    """
    try:
        load_library(FLAVOURS["tensorrt_rtx"])
    except EngineError:
        return None, ()
    progress(f"counting launches {what}")
    asked = EngineOptions(backend="rtx", targets=(_TARGET,))
    try:
        return build(onnx, onnx.with_suffix(".engine"), asked).audit.launches, ()
    except SimamError as error:
        return None, (f"no plan: {error}",)
