"""The orders that passes are run in, all of them: no other place chooses one."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, RemoveUnusedNodesPass

from simam_deploy.graph.detect import ROUTED, STANDARD
from simam_deploy.graph.detect.bodies import with_detection_bodies, without_detection_nodes
from simam_deploy.graph.detect.find import to_detection_nodes
from simam_deploy.graph.detect.nodes import check_detection_opset
from simam_deploy.graph.file.typed import with_shapes
from simam_deploy.graph.lower import LOWERINGS, WITH_FUNCTIONS
from simam_deploy.graph.lower.flat import lower_flat_for_engine
from simam_deploy.graph.lower.wide import lower_wide_for_engine
from simam_deploy.graph.passes.fold_bn import fold_bn
from simam_deploy.graph.passes.forget import forget_origin
from simam_deploy.graph.passes.opset import lower_opset
from simam_deploy.graph.passes.simplify import simplify as run_onnxsim
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.graph.recognise import Findings, recognise, to_nodes
from simam_deploy.op import contract

_FOR_ENGINE = {"flat": lower_flat_for_engine, "wide": lower_wide_for_engine}
"""Lowerings that an engine has in another form than a file that ONNX Runtime runs."""


def with_sites(model: ir.Model) -> tuple[ir.Model, Findings]:
    """Make a node of every SimAM, and of a detector's operators, that stands in plain ops.

    Args:
        model: Anybody's graph; it is used up.

    Returns:
        The graph, and what was recognised in it.
    """
    model = with_shapes(opened(model))  # n = H*W - 1 is proved by them
    findings = recognise(model)
    to_nodes(model, findings)
    to_detection_nodes(model)
    return model, findings


def opened(model: ir.Model) -> ir.Model:
    """Write the bodies of a model's functions where they are called, but for our own operators'.

    Args:
        model: It is used up.
    """
    if all(domain == contract.DOMAIN for domain, _, _ in model.functions):
        return model
    return InlinePass(lambda function: function.domain != contract.DOMAIN)(model).model


def for_runtime(
    model: ir.Model, opset: int, simplify: bool = True, lowering: str = "portable"
) -> ir.Model:
    """Turn a graph with one node per SimAM into the one that is written.

    A detector's operators are written in ONNX's own ops, or keep their nodes where SimAM does.

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
    check_detection_opset(model, opset)
    forget_origin(model)
    fold_bn(model)
    LOWERINGS[lowering](model)
    if lowering in WITH_FUNCTIONS:
        plugin = lowering == "plugin"
        with_detection_bodies(model, STANDARD if plugin else ROUTED, plugin)
    else:
        without_detection_nodes(model, ROUTED)
    lower_opset(model, opset)
    if simplify:
        model = run_onnxsim(model)
    tidy(model)
    model.ir_version = onnx.helper.find_min_ir_version_for(
        [onnx.helper.make_opsetid(domain, v) for domain, v in model.opset_imports.items()],
        ignore_unknown=True,  # our own domain, whose functions the opset below 18 keeps out
    )
    return model


def for_engine(model: ir.Model, lowering: str | None, form: str, plugin: bool) -> None:
    """Turn a graph with one node per SimAM into the one that TensorRT builds, in place.

    Args:
        model: In the opset that it has.
        lowering: A key of `LOWERINGS`; None where there is no SimAM.
        form: How a detector's operators are written, by what the engine has (`graph.detect`).
        plugin: Whether their nodes stay, for the plugin; the form is their bodies' then.

    Raises:
        UsageError: A detector's opset is below 18.
    """
    fold_bn(model)
    if lowering is not None:
        _FOR_ENGINE.get(lowering, LOWERINGS[lowering])(model)
    if plugin:
        with_detection_bodies(model, form, plugin)
    else:
        without_detection_nodes(model, form)
    tidy(model)


def plain(model: ir.Model) -> ir.Model:
    """Turn any file's graph into one that can be looked into: plain ops, shapes and types known.

    Args:
        model: It is used up; nodes of our own domain, whatever body they have, are written out.
            What no output is computed from is taken out: a SimAM that is left aside is none.
    """
    LOWERINGS["portable"](model)
    without_detection_nodes(model, STANDARD)
    if model.functions:
        model = InlinePass()(model).model
    RemoveUnusedNodesPass()(model)
    return with_shapes(model)
