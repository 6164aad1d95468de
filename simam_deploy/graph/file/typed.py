"""See to it that every value of a graph has a type: a half value without one goes unseen."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir

from simam_deploy.errors import InputError
from simam_deploy.graph.detect.nodes import note_types
from simam_deploy.graph.file.weights import without_weights


def typed(model: ir.Model) -> ir.Model:
    """Infer what types are missing, as behind a lowering or in files that leave them out.

    Returns:
        The model, or a new one over the same weights; `model` is used up.

    Raises:
        InputError: ONNX cannot infer one; it is named.
    """
    model = with_types(model)
    check_typed(model)
    return model


def with_types(model: ir.Model) -> ir.Model:
    """Infer what types are missing as far as ONNX can, which knows no ops of other domains.

    A detector's operators are known here, by their contract.

    Returns:
        The model, or a new one over the same weights; `model` is used up.
    """
    return with_shapes(model) if any(untyped(model)) else model


def with_shapes(model: ir.Model) -> ir.Model:
    """Infer inner shapes and types; old exporters leave them out.

    Returns:
        A new model over the same weights; `model` is used up.
    """
    model = without_weights(model, onnx.shape_inference.infer_shapes)
    while note_types(model):  # what is behind an operator follows from it
        model = without_weights(model, onnx.shape_inference.infer_shapes)
    return model


def check_typed(model: ir.Model) -> None:
    """Check that no type is missing.

    Raises:
        InputError: One is; it is named.
    """
    for value in untyped(model):
        raise InputError(f"the type of {value.name} is unknown: run ONNX's shape inference")


def untyped(model: ir.Model) -> Iterator[ir.Value]:
    """Yield what nodes of the main graph compute without a type being noted."""
    for node in model.graph:
        yield from (v for v in node.outputs if v.dtype is None and v.name)
