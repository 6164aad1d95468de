"""Look at an engine in an .onnx: its node's attributes, and what its plan shows."""

from __future__ import annotations

import hashlib
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from simam_deploy.core.inspection import InspectReport
from simam_deploy.core.specs import TensorSpec, numpy_name
from simam_deploy.engine.plan.plan_facts import read_listing
from simam_deploy.errors import InputError, UsageError
from simam_deploy.graph.file.context import context_node

_BINARY, _EMBEDDED = "ep_cache_context", "embed_mode"
_LARGEST = 2**34
"""Bytes of a plan beside the file that are read."""


def inspect_context(path: Path, model: onnx.ModelProto, precision: str | None) -> InspectReport:
    """Describe an engine; nothing of it is run.

    Args:
        path: The .onnx.
        model: Its message, with an EPContext node.
        precision: What to audit for.

    Raises:
        InputError: The node has no engine, or it lies outside the file's folder, or is missing.
        UsageError: A precision was given: no site can be seen.
    """
    if precision is not None:
        raise UsageError(
            f"{path.name} is an engine, whose SimAM sites cannot be seen", options=("precision",)
        )
    node = context_node(model)
    assert node is not None
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    plan, beside = _plan(path, attributes)
    return InspectReport(
        path=path,
        size=path.stat().st_size,
        external=beside,
        ir_version=model.ir_version,
        opsets={o.domain: o.version for o in model.opset_import},
        producer=f"{model.producer_name or 'unknown'} {model.producer_version}".strip(),
        inputs=_specs(model.graph.input),
        outputs=_specs(model.graph.output),
        functions=(),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        ops=dict(Counter(f"{n.domain}::{n.op_type}" for n in model.graph.node)),
        sites=(),
        near_misses=(),
        lint=(),
        engine={**_said(attributes), **_shown(plan)},
    )


def _plan(path: Path, attributes: Mapping[str, Any]) -> tuple[bytes, Mapping[str, int]]:
    """Give the engine's bytes and, where they lie beside the file, its size by its name."""
    content = attributes.get(_BINARY)
    if not isinstance(content, bytes) or not content:
        raise InputError(f"cannot use {path}: its EPContext node holds no engine")
    if attributes.get(_EMBEDDED, 1):
        return content, {}
    name = content.decode(errors="replace")
    if Path(name).name != name or "\0" in name:
        raise InputError(f"cannot use {path}: its engine is not a file beside it: {name!r:.80}")
    return _read_beside(path, path.with_name(name))


def _read_beside(path: Path, file: Path) -> tuple[bytes, Mapping[str, int]]:
    try:
        seen = file.lstat()
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > _LARGEST:
            raise InputError(f"cannot use {path}: {file.name} beside it is no engine")
        return file.read_bytes(), {file.name: seen.st_size}
    except OSError as error:
        raise InputError(f"cannot use {path}: its engine {file.name}: {error.strerror}") from error


def _said(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Repeat the attributes, less the engine, as text or numbers."""
    return {
        key: value.decode(errors="replace") if isinstance(value, bytes) else value
        for key, value in attributes.items()
        if key != _BINARY and isinstance(value, bytes | int)
    }


def _shown(plan: bytes) -> dict[str, Any]:
    """Tell what can be known of a plan without a GPU."""
    found = read_listing(plan)
    kernels = found.count if found else None
    return {
        "plan_size": len(plan),
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
        "plan_launches": "unknown" if kernels is None else kernels,
    }


def _specs(values: Sequence[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            value.name,
            numpy_name(onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()),
            tuple(
                d.dim_value if d.HasField("dim_value") else d.dim_param or "?"
                for d in value.type.tensor_type.shape.dim
            ),
        )
        for value in values
    )
