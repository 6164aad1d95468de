"""What is to be built, in full: nothing is left to a default of the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simam_deploy.core.specs import Profile, ShapeRange
from simam_deploy.errors import UsageError

_FP8_SINCE = 89
"""Compute capability; for those before, TensorRT-RTX 1.7 says that they lack the type."""


def check_targets(precision: str | None, targets: Sequence[str]) -> None:
    """Check that GPUs compute in a precision; "current", and none at all, are not known here.

    Raises:
        UsageError: One does not.
    """
    numbers = {target: target.removeprefix("sm") for target in targets}
    early = [t for t, n in numbers.items() if n.isdigit() and int(n) < _FP8_SINCE]
    if precision == "fp8" and early:
        raise UsageError(
            f"FP8 is for GPUs from sm{_FP8_SINCE} on, not for {', '.join(early)}: leave these out, "
            "or take int8 or fp16",
            options=("precision", "targets"),
        )


@dataclass(frozen=True)
class BuildRequest:
    """A build.

    Attributes:
        onnx: The graph, in the precision that the plan is to have: plans are strongly typed.
        output: Where the plan goes.
        flavour: "tensorrt" or "tensorrt_rtx".
        precision: What the plan will be audited for, one of `core.specs.PRECISIONS`.
        targets: Compute capabilities as "sm89", or ("current",); none leaves it to the flavour.
        profiles: Ranges of the dynamic inputs; empty for a static graph.
        workspace: Scratch memory allowed, in MiB; None for the library's own limit.
        timing_cache: File that timings are read from and added to; TensorRT alone has one.
        plugin: Library that is loaded, and put into the plan; or kernels, as PTX, for TensorRT.
        tf32: Whether float32 products may be rounded to TF32's 10 bits.
    """

    onnx: Path
    output: Path
    flavour: str
    precision: str = "fp32"
    targets: tuple[str, ...] = ()
    profiles: tuple[Profile, ...] = ()
    workspace: int | None = None
    timing_cache: Path | None = None
    plugin: Path | None = None
    tf32: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give what `from_json` reads."""
        paths = {"onnx", "output", "timing_cache", "plugin"}
        return {
            key: str(value) if key in paths and value is not None else value
            for key, value in asdict(self).items()
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> BuildRequest:
        """Read what `to_json` gave, in another process."""
        cache, plugin = document["timing_cache"], document["plugin"]
        return BuildRequest(
            onnx=Path(document["onnx"]),
            output=Path(document["output"]),
            flavour=document["flavour"],
            precision=document["precision"],
            targets=tuple(document["targets"]),
            profiles=profiles_from(document["profiles"]),
            workspace=document["workspace"],
            timing_cache=None if cache is None else Path(cache),
            plugin=None if plugin is None else Path(plugin),
            tf32=document["tf32"],
        )


def profiles_from(document: Any) -> tuple[Profile, ...]:
    """Read profiles from JSON: a list of lists of ranges."""
    return tuple(
        tuple(
            ShapeRange(r["name"], tuple(r["min"]), tuple(r["opt"]), tuple(r["max"]))
            for r in profile
        )
        for profile in document
    )
