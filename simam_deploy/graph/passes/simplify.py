"""Run onnx-simplifier (onnxsim) over the structure of a graph.

Its folding is about shapes and small constants; BN is folded elsewhere, so it need not see the
weights. Nor does it see the bodies of functions: version 0.8 leaves them alone, but optimisers
before it may inline or drop them, while a node without a schema passes through all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import onnx
import onnx_ir as ir

from simam_deploy.errors import InputError
from simam_deploy.graph.file.weights import without_weights

_NEVER = ("fuse_consecutive_reduce",)
"""It puts a mean over W and one over H back into one run, which is off by 2e-5 at 512 x 512."""


def simplify(model: ir.Model, skipped: Sequence[str] = ()) -> ir.Model:
    """Give the simplified model; weights are shared with `model`, which is used up.

    Args:
        model: The model.
        skipped: Optimisers to leave out besides, by onnxsim's names.

    Raises:
        InputError: onnxsim fails, or reports that its result differs from what it was given.
    """
    functions = dict(model.functions)
    model.functions.clear()
    simplified = without_weights(model, partial(_onnxsim, skipped=[*_NEVER, *skipped]))
    simplified.functions.update(functions)
    for key in [k for k in simplified.metadata_props if k.startswith("onnxsim.")]:
        del simplified.metadata_props[key]  # a log of its own work, up to 10 kB
    return simplified


def _onnxsim(proto: onnx.ModelProto, skipped: list[str]) -> onnx.ModelProto:
    """Call onnxsim and insist on its own verdict."""
    import onnxsim

    try:
        simplified, same = onnxsim.simplify(proto, skipped_optimizers=skipped)
    except Exception as error:  # whatever its C++ throws
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"onnx-simplifier failed ({first_line}): leave it out", options=("simplify",)
        ) from error
    if not same:
        raise InputError(
            "onnx-simplifier changed what the graph computes: leave it out", options=("simplify",)
        )
    result: onnx.ModelProto = simplified
    return result
