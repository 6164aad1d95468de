"""Whole networks as graphs, in float32 and in half precision, and what TensorRT-RTX makes of them.

What is counted is said in `rtx_plan`.
"""

from __future__ import annotations

import re
from pathlib import Path

import onnx_ir as ir
import torch
from rtx_plan import build_plan, build_plan_apart, count_launches
from torch import nn

from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.passes.fold_bn import fold_bn
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.source.forward import Forward
from simam_deploy.source.trace import trace

_INT8_CONSTANT = re.compile(r'tensor=\{[^\n]* name="(\w+const)"[^\n]*type=int8')
_CONVOLUTION = re.compile(r"\n\s+corrltn=\{ name=[^\n]*? input=\{([^}]*)\}")


def traced(
    network: str, batch: int | str, sides: tuple[int | str, ...] = (), opset: int = 18
) -> ir.Model:
    """Trace a network of drawn weights, a node a SimAM, and fold its batch norms.

    A batch given as a name is dynamic, and so is a side; `sides` are the published ones if empty.
    """
    torch.manual_seed(0)
    family = NETWORKS[network].family
    shape = family.input_shape
    shape = (*shape[: len(shape) - len(sides)], *sides)
    model = create(NETWORKS[network]).eval()
    return folded(model, (batch, *shape), family.output_names, opset)


def folded(
    model: nn.Module, shape: tuple[int | str, ...], outputs: tuple[str, ...], opset: int = 18
) -> ir.Model:
    """Trace a network of one input, a node a SimAM, and fold its batch norms."""
    spec = TensorSpec("input", "float32", shape)
    free = {str(d): 2 if i == 0 else 64 * (i + 1) for i, d in enumerate(shape)}
    graph = trace(Forward(model), (spec,), outputs, free, opset)
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


def int8_convolutions(plan: bytes) -> int:
    """Count the convolution kernels of a plan that read int8 weights."""
    text = plan.decode("latin1")
    small = set(_INT8_CONSTANT.findall(text))
    return sum(bool(small & set(re.findall(r'"(\w+)"', i))) for i in _CONVOLUTION.findall(text))
