"""INT8 and FP8 by Q/DQ: choose the layers, calibrate them, write the pairs, judge the result."""

from simam_deploy.precision.int8.judge import judge
from simam_deploy.precision.int8.quantise import Measured, Quantised, measure, quantise

__all__ = ["Measured", "Quantised", "judge", "measure", "quantise"]
