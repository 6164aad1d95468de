"""What a user may ask of the model that is made, whatever file it is put into."""

from __future__ import annotations

import os
from dataclasses import dataclass

from simam_deploy.core.options import FILE, POSITIVE, option
from simam_deploy.core.specs import PRECISIONS, QUANTISED
from simam_deploy.errors import UsageError

CALIBRATION_SAMPLES = 256
"""Enough: the digits network's logits are off by 0.0100 with 16 samples, 0.0094 with 64, 0.0085
with 256, and 0.0083 with all 1,437."""


AUTO = "auto"
"""In a precision's place: what is best, told by plans."""


@dataclass(frozen=True)
class ConversionOptions:
    """What is asked of the model.

    Attributes:
        precision: One of `PRECISIONS`; None for the source's own. Weights and activations are in
            it; SimAM, and sums as fragile, compute in float32. Of an engine "auto": int8 or fp8
            where it is better than fp16 and as accurate as is stated, else fp16.
        keep_io: Whether inputs and outputs stay float32 when a float32 source becomes half.
        calibration_data: Samples for "int8" and "fp8": a folder of pictures, .npz or .npy.
        calibration_samples: The most to take of them, spread evenly.
        quantize: For "int8" and "fp8", which layers: "all" that can be, "pays" for those that cost
            TensorRT-RTX no launch, or patterns of names of layers or weights with commas between
            them.
        labels: File of the classes' names, a line each in the order of the scores and as many as
            these, for the manifest.
        opset: 13 to 23; None for 18 (19 for "fp8", 22 for "bf16"), or an .onnx file's own.
    """

    precision: str | None = option(
        None,
        "of weights and activations; SimAM itself computes in float32; of an engine also auto: "
        "int8 or fp8 where it is better than fp16, by time or launches, and as accurate as stated "
        "(default: the source's)",
        choices=(*PRECISIONS, AUTO),
    )
    keep_io: bool = option(
        True, "float32 inputs and outputs whatever the precision (default: yes)", both=True
    )
    calibration_data: str | os.PathLike[str] | None = option(
        None,
        "samples for int8 and fp8: a folder of pictures, .npz or .npy; for several inputs an .npz "
        "with an array for each, named as they are",
        FILE,
        metavar="D",
    )
    calibration_samples: int = option(
        CALIBRATION_SAMPLES,
        "the most samples to calibrate on, spread evenly (%(default)s)",
        POSITIVE,
        metavar="N",
    )
    quantize: str = option(
        "all",
        "which layers int8 or fp8 is for: all that it can do for; pays, those of them that cost "
        "TensorRT-RTX no launch; or names of layers or weights with commas, * and ? as in file "
        "names (%(default)s)",
        metavar="all|pays|LAYERS",
    )
    labels: str | os.PathLike[str] | None = option(
        None,
        "the classes' names, a line each in the order of the scores, for who serves the file",
        FILE,
        metavar="FILE",
    )
    opset: int | None = option(None, "13 to 23 (18; an .onnx file's own)", POSITIVE, metavar="N")


def check_precision(asked: ConversionOptions) -> None:
    """Check that what is said of the precision goes together.

    Raises:
        UsageError: It does not.
    """
    if asked.precision not in (None, *PRECISIONS, AUTO):
        raise UsageError(
            f"the precision must be {', '.join(PRECISIONS)}; got {asked.precision!r}",
            options=("precision",),
        )
    quantised = " and ".join(QUANTISED)
    if asked.precision == AUTO and asked.calibration_data is None:
        raise UsageError(
            "auto wants samples, on which int8 and fp8 are tried", options=("calibration_data",)
        )
    if asked.calibration_data is not None and asked.precision not in (*QUANTISED, AUTO):
        raise UsageError(
            f"calibration data are for {quantised} alone",
            options=("calibration_data", "precision"),
        )
    if asked.quantize != "all" and asked.precision not in QUANTISED:
        raise UsageError(
            f"a choice of layers is for {quantised} alone", options=("quantize", "precision")
        )
