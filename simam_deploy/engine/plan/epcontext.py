"""An .onnx around a TensorRT-RTX plan: what ONNX Runtime's provider for it loads, and no other.

One node `com.microsoft::EPContext`, alone in its graph. Names, types and sizes of its attributes
are those that the provider writes itself (its plugin package 0.5.0, ONNX Runtime 1.32) and checks
when it loads the file: `embed_mode` 1 with the plan as `ep_cache_context`, or 0 with the name of a
file beside it, which is relative and holds no "..".
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from simam_deploy.core.artifacts import Manifest
from simam_deploy.core.files import data_of, sha256_of
from simam_deploy.core.onnx_metadata import as_metadata
from simam_deploy.core.specs import ELEMENTS, TensorSpec, specs_from
from simam_deploy.errors import UsageError
from simam_deploy.graph.file.context import DOMAIN, OP

PROVIDER = "NvTensorRTRTXExecutionProvider"
LARGEST = 2**31 - 2**20
"""Bytes of a plan within the file: protobuf and the provider hold 2^31 - 1 with all around it."""
_HEADER = 64
"""Bytes of a plan's head, by which ONNX Runtime asks the provider whether it takes the plan."""
_COMPATIBILITY = f"ep_compatibility_info.{PROVIDER}"
_IR_VERSION, _OPSET = 10, 17
_ALL, _AMPERE = ("default",), "80+"
_STATED = (
    "arch", "e_lambda", "e_lambda_source", "simam_sites", "lowering", "precision", "classes",
    "preprocessing", "flavour", "version", "targets", "tf32", "profiles", "plugin",
)  # fmt: skip
"""Facts of the plan that the file states in itself."""


def write_context(
    plan: Path, file: Path, made_of: str, facts: Manifest, largest: int = LARGEST
) -> tuple[Path, ...]:
    """Write the .onnx around a plan; a plan too large for it goes beside it.

    Args:
        plan: Of TensorRT-RTX.
        file: The .onnx.
        made_of: Name of the graph's file.
        facts: The plan's manifest.
        largest: Bytes of a plan that goes into the file.

    Returns:
        The files written.

    Raises:
        UsageError: The plan goes beside the file, whose name holds "..", as the provider refuses.
        OSError: The disk is full.
    """
    embedded = plan.stat().st_size <= largest
    beside = data_of(file)
    if not embedded and ".." in beside.name:
        raise UsageError(
            f"the plan does not fit into {file.name}, and the provider loads no file of that name "
            "with a '..' in it: name it otherwise",
            options=("output",),
        )
    content: bytes | str = plan.read_bytes() if embedded else beside.name
    attributes = _attributes(plan, made_of, facts["version"], facts["targets"])
    attributes = {**attributes, "embed_mode": int(embedded), "ep_cache_context": content}
    file.write_bytes(_model(plan, attributes, facts).SerializeToString())
    if embedded:
        return (file,)
    shutil.copyfile(plan, beside)
    return file, beside


def _model(plan: Path, attributes: Mapping[str, Any], facts: Manifest) -> onnx.ModelProto:
    inputs, outputs = (specs_from(facts[role]) for role in ("inputs", "outputs"))
    names = [spec.name for spec in inputs], [spec.name for spec in outputs]
    node = helper.make_node(OP, *names, attributes["partition_name"], domain=DOMAIN, **attributes)
    graph = helper.make_graph([node], plan.stem, [*map(_value, inputs)], [*map(_value, outputs)])
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="simam-deploy"
    )
    with plan.open("rb") as file:
        head = file.read(_HEADER).hex()
    stated = as_metadata({key: facts[key] for key in _STATED if facts.get(key) is not None})
    helper.set_model_props(model, {**stated, _COMPATIBILITY: head})
    return model


def _attributes(
    plan: Path, made_of: str, version: str, targets: Sequence[str]
) -> Mapping[str, Any]:
    """Give the node's attributes, less the plan; its partition is named by the plan's hash."""
    capability = _capability(targets)
    return {
        "main_context": 0,  # each node has its own plan
        "source": PROVIDER,
        "ep_sdk_version": version,
        "ep_context_op_domain": DOMAIN,
        "onnx_model_filename": made_of,
        "partition_name": f"simam_{sha256_of(plan)[:16]}",
        **({} if capability is None else {"hardware_architecture": capability}),
    }


def _capability(targets: Sequence[str]) -> str | None:
    """Say what a plan runs on as the provider compares it: one GPU, or all of sm80 and later.

    Of several it knows no spelling, and would warn on each of them; where nothing is said, it
    does not.
    """
    if tuple(targets) == _ALL:
        return _AMPERE
    return targets[0].removeprefix("sm") if len(targets) == 1 else None


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    """Describe an input or output; a dimension without a name stays so."""
    kind = next(e.onnx for e in ELEMENTS if e.name == spec.dtype)
    shape = [None if size in ("?", -1) else size for size in spec.shape]
    return helper.make_tensor_value_info(spec.name, onnx.TensorProto.DataType.Value(kind.upper()),
                                         shape)  # fmt: skip
