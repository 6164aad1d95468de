"""Run onnx-simplifier (onnxsim) over the structure of a graph.

Its folding is about shapes and small constants; BN is folded elsewhere, so it need not see the
weights.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from simam_deploy.errors import InputError
from simam_deploy.graph.weights import without_weights


def simplify(model: ir.Model) -> ir.Model:
    """Give the simplified model; weights are shared with `model`, which is used up.

    Raises:
        InputError: onnxsim reports that its result differs from what it was given.
    """
    simplified = without_weights(model, _onnxsim)
    for key in [k for k in simplified.metadata_props if k.startswith("onnxsim.")]:
        del simplified.metadata_props[key]  # a log of its own work, up to 10 kB
    return simplified


def _onnxsim(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Call onnxsim and insist on its own verdict."""
    import onnxsim

    simplified, same = onnxsim.simplify(proto)
    if not same:
        raise InputError("onnx-simplifier changed what the graph computes; use --no-simplify")
    result: onnx.ModelProto = simplified
    return result
