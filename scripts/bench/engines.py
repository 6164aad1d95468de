"""Whole networks as graphs, in float32 and in half precision, and what TensorRT-RTX makes of them.

What is counted is said in `rtx_plan`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir
import torch
from rtx_plan import build_plan, build_plan_apart, count_launches
from torch import nn

from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.passes.fold_bn import fold_bn
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.graph.prepare import with_sites
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.source.factory import call_factory
from simam_deploy.source.forward import Forward
from simam_deploy.source.trace import trace

_EIGHT_BITS = re.compile(r'tensor=\{[^\n]* name="(\w+const)"[^\n]*type=(?:int8|fp8_e4m3)')
_CONVOLUTION = re.compile(r"\n\s+corrltn=\{ name=[^\n]*? input=\{([^}]*)\}")

YOLO_SHAPE = (3, 320, 320)
_YOLO = Path(__file__).parents[2] / "examples" / "yolo" / "yolo.py"


def traced(network: str, batch: int | str) -> ir.Model:
    """Trace a network of drawn weights, a node a SimAM, and fold its batch norms.

    A batch given as a name is dynamic.
    """
    return traced_of(network, (batch, *NETWORKS[network].family.input_shape))


def traced_of(
    network: str, shape: tuple[int | str, ...], opset: int = 18, settled: bool = False
) -> ir.Model:
    """Trace a network as `traced` does, for an input of any shape; names are dynamic.

    Args:
        network: Its name.
        shape: Of its input.
        opset: Of the graph.
        settled: Whether its batch norms know what they see. As drawn, a mobilenet_v2's outputs are
            its last bias and hardly anything else.
    """
    family = NETWORKS[network].family
    module = drawn(network)
    if settled:
        settle(module, family.input_shape)
    return traced_module(module, shape, family.input_shape, family.output_names, opset)


def settle(model: nn.Module, shape: Sequence[int]) -> None:
    """Give every batch norm the mean and variance of what it sees of eight drawn inputs."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(torch.randn(8, *shape))
    model.eval()


def traced_yolo(shape: tuple[int | str, ...], opset: int = 18, settled: bool = False) -> ir.Model:
    """Trace the example's detector, of one output, as `traced_of` does any other network."""
    module = drawn("yolo")
    if settled:
        settle(module, YOLO_SHAPE)
    graph, _ = with_sites(traced_module(module, shape, YOLO_SHAPE, ("output",), opset))
    return graph


def drawn(network: str) -> nn.Module:
    """Give a network of drawn weights; "yolo" is the example's detector, with its one output."""
    torch.manual_seed(0)
    if network != "yolo":
        return create(NETWORKS[network]).eval()
    model = call_factory(f"{_YOLO}:YOLO").eval()
    model.model[-1].export = True
    return model


def traced_module(
    model: nn.Module,
    shape: tuple[int | str, ...],
    usual: Sequence[int],
    outputs: tuple[str, ...],
    opset: int,
) -> ir.Model:
    """Trace a module as `traced_of` does a network; `usual` is its input without the batch."""
    spec = TensorSpec("input", "float32", shape)
    sizes = {d: own for d, own in zip(shape, (2, *usual), strict=True) if isinstance(d, str)}
    graph = trace(Forward(model), (spec,), outputs, sizes, opset)
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


def eight_bit_convolutions(plan: bytes) -> int:
    """Count the convolution kernels of a plan that read weights in int8 or fp8."""
    text = plan.decode("latin1")
    small = set(_EIGHT_BITS.findall(text))
    return sum(bool(small & set(re.findall(r'"(\w+)"', i))) for i in _CONVOLUTION.findall(text))
