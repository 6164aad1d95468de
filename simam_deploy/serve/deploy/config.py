"""Triton's config.pbtxt, built as the message whose schema tritonclient carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simam_deploy.core.labels import check_number
from simam_deploy.core.specs import ELEMENTS, TensorSpec
from simam_deploy.detect.decoding import may_detect
from simam_deploy.errors import InputError
from simam_deploy.serve.deploy.shapes import is_fixed

LABELS = "labels.txt"
PREPROCESS = "preprocess"
"""Key of the parameter that says how a picture becomes the input, as `simam-export` is told it."""
_ELEMENTS = {element.name: f"TYPE_{element.protocol}" for element in ELEMENTS}


@dataclass(frozen=True)
class Serving:
    """How Triton is to serve a model.

    `max_batch_size` 0 leaves the batch to the client, as a model of fixed batch needs it; shapes
    then are whole. `warm_up` gives a whole shape by input, or nothing where none is known;
    `classes` are the labels, `preprocess` the recipe for pictures, `size_input` the input that
    takes their sizes, and `operators` the path of a library for ONNX Runtime, if there are such.
    """

    name: str
    is_engine: bool
    device: str
    instances: int
    max_batch_size: int
    warm_up: Mapping[str, tuple[int, ...]]
    classes: Sequence[str]
    preprocess: str | None
    size_input: str | None = None
    operators: str | None = None


def config_text(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], serving: Serving
) -> str:
    """Give the text of config.pbtxt.

    There is no default_queue_policy: with its max_queue_size, Triton 2.51 stalled by 0.5 to 1 s.

    Raises:
        InputError: A tensor's type is none of Triton's, tritonclient is missing, or there are more
            or fewer labels than scores.
    """
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is missing: pip install 'simam-deploy[serve]'") from None
    config = model_config_pb2.ModelConfig(name=serving.name, max_batch_size=serving.max_batch_size)
    if serving.is_engine:
        config.platform = "tensorrt_plan"
    else:
        config.backend = "onnxruntime"
    for spec in inputs:
        _describe(config.input.add(), spec, serving)
    for spec in outputs:
        _describe(config.output.add(), spec, serving)
    _label(config, outputs, serving)
    if serving.preprocess is not None:
        config.parameters[PREPROCESS].string_value = serving.preprocess
    if serving.operators is not None:
        config.model_operations.op_library_filename.append(serving.operators)
    kind = f"KIND_{serving.device.upper()}"
    config.instance_group.add(count=serving.instances, kind=kind)
    if serving.max_batch_size:
        config.dynamic_batching.SetInParent()
    for batch in sorted({min(1, serving.max_batch_size), serving.max_batch_size}):
        _warm(config, inputs, serving, batch)
    return str(text_format.MessageToString(config))


def _describe(tensor: Any, spec: TensorSpec, serving: Serving) -> None:
    """Give a tensor's name, type and sizes; the batch is not among them where Triton makes it."""
    tensor.name = spec.name
    tensor.data_type = _element(spec)
    sizes = spec.shape[1:] if serving.max_batch_size else spec.shape
    tensor.dims.extend(size if is_fixed(size) else -1 for size in sizes)
    if not sizes:  # Triton wants at least one
        tensor.dims.append(1)
        tensor.reshape.SetInParent()


def _element(spec: TensorSpec) -> str:
    if spec.dtype not in _ELEMENTS:
        raise InputError(f"{spec.name} is {spec.dtype}, which Triton does not have")
    return _ELEMENTS[spec.dtype]


def _label(config: Any, outputs: tuple[TensorSpec, ...], serving: Serving) -> None:
    """Tie the labels to the first output that has a column for each.

    A detector's has none: of as many boxes, corners or cells as classes, each would seem a class.
    """
    if not serving.classes:
        return
    for tensor, spec in zip(config.output, outputs, strict=True):
        if spec.shape[-1:] == (len(serving.classes),) and not may_detect(outputs):
            tensor.label_filename = LABELS
            return
    check_number(serving.classes, outputs)


def _warm(config: Any, inputs: tuple[TensorSpec, ...], serving: Serving, batch: int) -> None:
    """Have a random request of `batch` items run before the model is ready."""
    if not serving.warm_up:
        return
    sample = config.model_warmup.add(name=f"batch {batch or 1}", batch_size=batch, count=1)
    for spec in inputs:
        shape = serving.warm_up[spec.name]
        tensor = sample.inputs[spec.name]
        tensor.data_type = _element(spec)
        tensor.dims.extend((shape[1:] if batch else shape) or (1,))
        if spec.name == serving.size_input:
            tensor.zero_data = True  # random sides may be below 0
        else:
            tensor.random_data = True
