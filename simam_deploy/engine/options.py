"""What a user may ask of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simam_deploy.engine.profiles import Shapes


@dataclass(frozen=True)
class EngineOptions:
    """What a user may ask of an engine.

    Attributes:
        precision: One of `PRECISIONS`; None for the graph's own.
        keep_io: Whether inputs and outputs stay float32 when a float32 graph becomes half.
        calibration_data: Samples for "int8" of a float32 source, as `export_onnx` takes them.
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

    precision: str | None = None
    keep_io: bool = True
    calibration_data: Path | None = None
    backend: str = "auto"
    targets: tuple[str, ...] = ()
    min_shapes: tuple[Shapes, ...] = ()
    opt_shapes: tuple[Shapes, ...] = ()
    max_shapes: tuple[Shapes, ...] = ()
    workspace: int | None = None
    timing_cache: Path | None = None
    plugin: str = "auto"
    tf32: bool = False
    cache: bool = True
