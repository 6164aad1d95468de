"""Made-up reports for the tests of what a person reads."""

import math

from simam_deploy.core.specs import TensorSpec
from simam_deploy.core.validation import CaseResult, GateCheck, Power, Seen, ValidationReport
from simam_deploy.verify.report import ComparisonReport, Side

COLLAPSED = GateCheck("deep.collapsed", (0.6222, 0.6225), (0.6225, 0.98), 0.0, 0.91, 380.0, 0.55)
BROKEN = GateCheck(
    "deep.<broken>", (math.nan,) * 2, (math.nan,) * 2, *(math.nan,) * 3, 0.55, "3 values NaN"
)

SEEN = Power(Seen(31.0, "layer1"), Seen(0.4), Seen(12.0), 2, 2)


def right(number: int) -> GateCheck:
    name = f"layer{number // 8}.{number % 8}.conv2.1"
    return GateCheck(name, (0.6222, 0.95), (0.6225, 0.95), 0.9999, 0.0, 0.497, 0.55)


def report(*gates: GateCheck) -> ComparisonReport:
    spec = TensorSpec("x", "float32", ("n", 3, 32, 32))
    result = CaseResult("normal 1x3x32x32", "y", 1e-3, 1e-3, 4e-3)
    return ComparisonReport(
        reference=Side("a.pth", "PyTorch", "fp32", (spec,), ("y",)),
        candidate=Side("b.onnx", "ONNX Runtime", "fp16", (spec,), ("y",)),
        validation=ValidationReport(
            "PyTorch", "ONNX Runtime", "fp16", "a rule", (result,), gates, power=SEEN
        ),
        accuracy=None,
        bisection=None,
        notes=(),
        seconds=1.0,
    )
