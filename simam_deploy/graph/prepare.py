"""The orders that passes are run in."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.graph.passes.fold_bn import fold_bn
from simam_deploy.graph.passes.forget import forget_origin
from simam_deploy.graph.passes.opset import lower_opset
from simam_deploy.graph.passes.simplify import simplify as run_onnxsim
from simam_deploy.graph.passes.tidy import tidy


def prepare(
    model: ir.Model, opset: int, simplify: bool = True, lowering: str = "portable"
) -> ir.Model:
    """Turn a traced graph, one node per SimAM, into the one that is written.

    Args:
        model: The traced graph; it is used up.
        opset: Version of the default domain of the result, at most the model's.
        simplify: Whether onnx-simplifier runs over the result.
        lowering: What the SimAM nodes become, a key of `LOWERINGS`.

    Returns:
        The graph, with the lowest IR version that its opset allows.

    Raises:
        UsageError: A node cannot be written in that opset, or a site not in that lowering.
        InputError: onnx-simplifier failed.
    """
    forget_origin(model)
    fold_bn(model)
    LOWERINGS[lowering](model)
    lower_opset(model, opset)
    if simplify:
        model = run_onnxsim(model)
    tidy(model)
    model.ir_version = onnx.helper.find_min_ir_version_for(
        [onnx.helper.make_opsetid(domain, v) for domain, v in model.opset_imports.items()],
        ignore_unknown=True,  # our own domain, whose functions the opset below 18 keeps out
    )
    return model
