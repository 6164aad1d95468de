"""The same graphs after the tools that people run over them."""

from __future__ import annotations

from functools import cache

import onnx
import onnx_ir as ir
import onnxsim
import pytest
import torch
from onnxruntime.transformers.float16 import convert_float_to_float16

from simam_deploy.graph.recognise import recognise
from tests.graph.recognise.exporting import Cell, export
from tests.graph.recognise.test_matrix import faults
from tests.graph.recognise.variants import VARIANTS


@cache
def exported(opset: int, dynamic: str) -> bytes:
    return export(Cell("torchscript", opset, dynamic, torch.float32), VARIANTS).SerializeToString()


def simplified(proto: onnx.ModelProto) -> onnx.ModelProto:
    return onnxsim.simplify(proto)[0]


def in_half_precision(proto: onnx.ModelProto) -> onnx.ModelProto:
    return convert_float_to_float16(proto, keep_io_types=True)


def with_reductions_in_fp32(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Casts around each reduction, written at the end of the file."""
    return convert_float_to_float16(proto, op_block_list=["ReduceMean", "ReduceSum", "Pow"])


@pytest.mark.parametrize(("opset", "dynamic"), [(13, "static"), (11, "hw")])
@pytest.mark.parametrize("tool", [simplified, in_half_precision, with_reductions_in_fp32])
def test_each_variant_is_told_for_what_it_is(tool, opset: int, dynamic: str) -> None:
    proto = tool(onnx.load_from_string(exported(opset, dynamic)))
    findings = recognise(ir.from_proto(proto))
    assert [fault for variant in VARIANTS for fault in faults(variant, VARIANTS, findings)] == []
