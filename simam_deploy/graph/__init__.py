"""Graph passes: one file a pass, and the order that `prepare` runs them in."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.graph.fold_bn import fold_bn
from simam_deploy.graph.forget import forget_origin
from simam_deploy.graph.opset import lower_opset
from simam_deploy.graph.portable import lower_portable
from simam_deploy.graph.simplify import simplify as run_onnxsim

__all__ = ["prepare"]


def prepare(model: ir.Model, opset: int, simplify: bool = True) -> ir.Model:
    """Turn a traced graph, one node per SimAM, into the portable one that is written.

    Args:
        model: The traced graph; it is used up.
        opset: Version of the default domain of the result, at most the model's.
        simplify: Whether onnx-simplifier runs over the result.

    Returns:
        The graph, with the lowest IR version that its opset allows.

    Raises:
        UsageError: A node cannot be written in that opset.
        InputError: onnx-simplifier failed.
    """
    forget_origin(model)
    fold_bn(model)
    lower_portable(model)
    lower_opset(model, opset)
    if simplify:
        model = run_onnxsim(model)
    RemoveUnusedNodesPass()(model)
    model.ir_version = onnx.helper.find_min_ir_version_for(
        [onnx.helper.make_opsetid(domain, v) for domain, v in model.opset_imports.items()]
    )
    return model
