"""The two half types, and float32 beside them, in numbers; all IEEE 754 in kind."""

from __future__ import annotations

import onnx_ir as ir

HALF_TYPES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
LARGEST = {ir.DataType.FLOAT16: 65504.0, ir.DataType.BFLOAT16: (2 - 2**-7) * 2.0**127}
EPSILON = {
    ir.DataType.FLOAT: 2.0**-23,
    ir.DataType.FLOAT16: 2.0**-10,
    ir.DataType.BFLOAT16: 2.0**-7,
}
"""From 1 to the next number; rounding moves a normal number by at most half of this of itself."""
SMALLEST_NORMAL = {
    ir.DataType.FLOAT: 2.0**-126,
    ir.DataType.FLOAT16: 2.0**-14,
    ir.DataType.BFLOAT16: 2.0**-126,
}
LEAST_OPSET = {"bf16": 22}
"""Where Conv is defined for the type; 13 does for the others."""
