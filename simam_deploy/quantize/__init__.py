"""INT8 by explicit Q/DQ: choose the layers, calibrate them, write the pairs, judge the result."""

from simam_deploy.quantize.judge import OutputCost, TensorCheck, Verdict, judge
from simam_deploy.quantize.quantise import SAMPLES, Quantised, quantise

__all__ = ["SAMPLES", "OutputCost", "Quantised", "TensorCheck", "Verdict", "judge", "quantise"]
