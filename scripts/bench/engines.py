"""Whole networks as graphs, in float32 and in half precision, and what TensorRT-RTX makes of them.

An engine builds without a GPU, and its plan lists the kernels it will launch, as text. That text
is not documented: a count is good for comparing graphs in one version, and a proxy for passes
over memory, not for time.
"""

from __future__ import annotations

import re
from typing import Any

import onnx_ir as ir
import torch

from simam_deploy.artifacts import TensorSpec
from simam_deploy.export import trace
from simam_deploy.graph.fold_bn import fold_bn
from simam_deploy.graph.tidy import tidy
from simam_deploy.models.build import create
from simam_deploy.models.zoo import NETWORKS

BATCH = 8
"""What a dynamic batch is optimised for."""
COMPUTE_CAPABILITY = "SM89"
_LAUNCH = re.compile(r"\n\s+(?:function|corrltn|runtime_fusion|kgen_gemm)=\{ name=(\S+)")

_INT8_CONSTANT = re.compile(r'tensor=\{[^\n]* name="(\w+const)"[^\n]*type=int8')
_CONVOLUTION = re.compile(r"\n\s+corrltn=\{ name=[^\n]*? input=\{([^}]*)\}")


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


def launches(model: ir.Model) -> int:
    """Build a plan and count the kernel launches in it.

    Args:
        model: Its inputs are static, or dynamic in the batch alone.

    Raises:
        ImportError: There is no tensorrt_rtx.
        ValueError: It does not take the model.
    """
    return len(kernels(plan_text(model)))


def kernels(text: str) -> list[str]:
    """Name the kernels that a plan launches, in its order."""
    return _LAUNCH.findall(text)


def int8_convolutions(text: str) -> int:
    """Count the convolution kernels of a plan that read int8 weights."""
    small = set(_INT8_CONSTANT.findall(text))
    return sum(bool(small & set(re.findall(r'"(\w+)"', i))) for i in _CONVOLUTION.findall(text))


def plan_text(model: ir.Model) -> str:
    """Build a plan and give what can be read of it; arguments and errors as for `launches`."""
    return _plan(model).decode("latin1")


def _plan(model: ir.Model) -> bytes:
    import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(ir.to_proto(model).SerializeToString()):
        raise ValueError(parser.get_error(0).desc())
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, COMPUTE_CAPABILITY), 0)
    _add_profile(builder, network, config)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError("TensorRT-RTX could not build the engine")
    return bytes(plan)


def _add_profile(builder: Any, network: Any, config: Any) -> None:
    """Let a dynamic batch be 1 to BATCH."""
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        one, most = ([n if d == -1 else d for d in tensor.shape] for n in (1, BATCH))
        profile.set_shape(tensor.name, one, most, most)
    config.add_optimization_profile(profile)
