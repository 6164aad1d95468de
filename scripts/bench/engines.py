"""Whole networks as graphs, in float32 and in half precision, and what TensorRT-RTX makes of them.

What is counted is said in `rtx_plan`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from rtx_plan import build_plan, build_plan_apart, count_launches

from simam_deploy.artifacts import TensorSpec
from simam_deploy.export import trace
from simam_deploy.graph.fold_bn import fold_bn
from simam_deploy.graph.tidy import tidy
from simam_deploy.models.build import create
from simam_deploy.models.zoo import NETWORKS


def traced(network: str, batch: int | str) -> ir.Model:
    """Trace a network of drawn weights, a node a SimAM, and fold its batch norms.

    A batch given as a name is dynamic.
    """
    torch.manual_seed(0)
    family = NETWORKS[network].family
    spec = TensorSpec("input", "float32", (batch, *family.input_shape))
    model = create(NETWORKS[network]).eval()
    graph = trace(model, (spec,), family.output_names, {str(batch): 2}, opset=18)
    fold_bn(graph)
    tidy(graph)
    return graph


def launches(model: ir.Model, plugin: Path | None = None) -> int:
    """Build a plan and count the kernel launches in it.

    Args:
        model: Its inputs are static, or dynamic in the batch alone.
        plugin: Library of the plugin to build with.

    Raises:
        ImportError: There is no tensorrt_rtx.
        ValueError: It does not take the model.
    """
    return count_launches(plan(model, plugin))


def plan(model: ir.Model, plugin: Path | None = None) -> bytes:
    """Build a plan; arguments and errors are those of `launches`."""
    file = ir.to_proto(model).SerializeToString()
    return build_plan(file) if plugin is None else build_plan_apart(file, plugin)


def to_half(model: ir.Model) -> None:
    """Make every float32 value of the main graph float16, SimAM's x and y among them.

    What a lowering then puts around a SimAM is the float32 island between two Casts. A function
    body brings its own; the scale and bias of a fused node are made later, in float32.
    """
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is not None and tensor.dtype == ir.DataType.FLOAT:
            value.const_value = ir.tensor(tensor.numpy().astype(np.float16), name=name)
            value.type = ir.TensorType(ir.DataType.FLOAT16)
    computed = [value for node in model.graph for value in node.outputs]
    for value in (*model.graph.inputs, *model.graph.outputs, *computed):
        if value.dtype == ir.DataType.FLOAT:
            value.type = ir.TensorType(ir.DataType.FLOAT16)
