"""What a user may ask of an export, and of a comparison."""

from __future__ import annotations

import os
from dataclasses import dataclass

from simam_deploy.core.conversion import ConversionOptions
from simam_deploy.core.options import FILE, Form, option, read_number, read_positive
from simam_deploy.graph.lower import LOWERINGS


def _read_share(text: str) -> float:
    """Read a number from 0 to 1."""
    share = read_number(text)
    if not 0 <= share <= 1:
        raise ValueError(f"not a fraction from 0 to 1: {text!r}")
    return share


TOLERANCE = (
    "the largest difference allowed in a slice of an output, relative to its largest value "
    "(default: derived from what rounding does to this very network)"
)


def read_tolerance(text: str) -> float:
    """Read a number above 0 and below 1."""
    tolerance = read_number(text)
    if not 0 < tolerance < 1:
        raise ValueError(f"not a number above 0 and below 1: {text!r}")
    return tolerance


@dataclass(frozen=True)
class OnnxOptions(ConversionOptions):
    """What is asked of an .onnx file.

    Attributes:
        lowering: What SimAM becomes: "auto" or a name of `graph.lower`.
        simplify: Whether onnx-simplifier runs.
        tolerance: Bounds the difference in a slice of an output, relative to its largest value;
            None derives it. The manifest repeats it.
        keep_failed: Whether a file that failed its validation is written all the same; its
            manifest says so, and whoever takes the file repeats it.
    """

    lowering: str = option(
        "auto",
        "what SimAM becomes: plain ops for any runtime (portable), the same without Pow (nopow), "
        "arranged for engines (flat, wide), "
        "one node with a function body (function), the same marked for TensorRT's plugin "
        "(plugin), or InstanceNormalization, fastest on ONNX Runtime's CPU but of fixed size "
        "(default: portable)",
        choices=("auto", *LOWERINGS),
    )
    simplify: bool = option(True, "leave onnx-simplifier out")
    tolerance: float | None = option(None, TOLERANCE, Form(read_tolerance, repr), metavar="T")
    keep_failed: bool = option(
        False,
        "write the file even if its validation fails; its manifest says so, and serve and build "
        "repeat it",
    )


@dataclass(frozen=True)
class ComparisonOptions:
    """How a candidate is judged.

    Attributes:
        tolerance: Bounds the difference in a slice of an output, relative to its largest value;
            None derives it.
        min_agreement: The least share of samples that must be ranked alike; None takes the
            precision's.
        trust_engine: Whether a plan is loaded without its manifest's word: a plan can run code.
        find_hazards: Whether to find the nodes that must stay in float32, where a half candidate's
            outputs fail.
        output: Where to write the conversion that keeps them.
    """

    tolerance: float | None = option(None, TOLERANCE, Form(read_tolerance, repr), metavar="T")
    min_agreement: float | None = option(
        None,
        "the least share of samples ranked alike (default: fp32 0.9999, fp16 0.999, bf16 0.992, "
        "int8 and fp8 0.98)",
        Form(_read_share, repr),
        metavar="F",
    )
    trust_engine: bool = option(
        False, "load a plan without its manifest's word: a plan can run code"
    )
    find_hazards: bool = option(
        False,
        "where a half candidate's outputs fail, find the nodes that must stay in float32",
        said="bisect",
    )
    output: str | os.PathLike[str] | None = option(
        None, "write the file that keeps them, and passes", FILE, short="-o"
    )


METHODS = ("gradcam", "attention")
"""How a picture is explained."""


def _read_methods(text: str) -> tuple[str, ...]:
    """Read names of methods, in any order.

    Raises:
        ValueError: One is not known.
    """
    asked = text.split(",")
    if unknown := [name for name in asked if name not in METHODS]:
        raise ValueError(f"not {' or '.join(METHODS)}, or both with a comma: {unknown[0]!r}")
    return tuple(name for name in METHODS if name in asked)


def _read_count(text: str) -> int:
    """Read a whole number, 0 or more."""
    return 0 if text == "0" else read_positive(text)


@dataclass(frozen=True)
class ExplainOptions:
    """What is asked of an explanation.

    Attributes:
        layer: The module whose maps are shown; None for the last SimAM that the score depends on.
        class_: Of a classifier, the class whose score is explained, by index or name; None for
            the one ranked first.
        box: Of a detector, the detection whose score is explained, counted from 0, the surest
            first; None for that one.
        methods: Of `METHODS`.
        labels: File of the classes' names, a line each; None leaves them to the source.
    """

    layer: str | None = option(
        None, "whose maps are shown, by the module's name (default: the last SimAM)", metavar="NAME"
    )
    class_: str | int | None = option(
        None,
        "of a classifier: the class to explain, by its index or name (default: the one predicted)",
        said="class",
        metavar="C",
    )
    box: int | None = option(
        None,
        "of a detector: the detection to explain, counted from 0, the surest first (default: 0)",
        Form(_read_count),
        metavar="N",
    )
    methods: tuple[str, ...] = option(
        METHODS, "gradcam, attention, or both (default)", Form(_read_methods, ",".join),
        said="method", metavar="A,B",
    )  # fmt: skip
    labels: str | os.PathLike[str] | None = option(
        None,
        "the classes' names, a line each (default: as the source says)",
        FILE,
        metavar="FILE",
    )
