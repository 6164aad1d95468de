"""Change a float32 network's precision, and prove that the written file is right."""

from simam_deploy.conversion.half import convert_half, judge_half, record_half
from simam_deploy.conversion.int8 import JUDGED, Calibration, convert_int8, judge_int8
from simam_deploy.conversion.original import Original, check_convertible, keep_original

__all__ = [
    "JUDGED",
    "LEAST_OPSET",
    "Calibration",
    "Original",
    "check_convertible",
    "convert_half",
    "convert_int8",
    "judge_half",
    "judge_int8",
    "keep_original",
    "record_half",
]

LEAST_OPSET = {"bf16": 22}
"""Where Conv is defined for the type; 13 does for the others."""
