"""Look into an ONNX file: what SimAM is in it, how it is written, and what could be better."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from simam_deploy.core.inspection import InspectReport, NearMissFacts, RangeFinding, SiteFacts
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import UsageError
from simam_deploy.op import contract
from simam_deploy.source.options import SampleOptions

if TYPE_CHECKING:
    import onnx_ir as ir

    from simam_deploy.graph.recognise import Site


def inspect_onnx(
    path: str | os.PathLike[str],
    precision: str | None = None,
    samples: SampleOptions | None = None,
    preprocess: str | None = None,
) -> InspectReport:
    """Read an ONNX file, prove its SimAM sites, and lint it; nothing is run without samples.

    Args:
        path: The .onnx, opset 11 or newer; its external data lie in its folder.
        precision: "fp16" or "bf16": audits what each site needs of that type.
        samples: Samples to measure the sites' planes with.
        preprocess: How a picture becomes the input, as `NetworkOptions` takes it.

    Returns:
        The report.

    Raises:
        InputError: The file or the data cannot be used.
        UsageError: There are samples and no precision, or the recipe does not fit.
    """
    from simam_deploy.graph.file.context import context_node
    from simam_deploy.graph.file.interface import interface
    from simam_deploy.graph.file.read import (
        external_files,
        read_message,
        read_model,
        stated_ir_version,
    )
    from simam_deploy.graph.lint import lint
    from simam_deploy.graph.prepare import opened
    from simam_deploy.graph.recognise import recognise
    from simam_deploy.pipeline.inspect_context import inspect_context

    path = Path(path)
    message = read_message(path)
    if context_node(message) is not None:
        return inspect_context(path, message, precision)
    del message
    model = read_model(path)
    findings = recognise(opened(read_model(path)) if model.functions else model)
    inputs, outputs = interface(model)
    producer = f"{model.producer_name or 'unknown'} {model.producer_version or ''}".strip()
    return InspectReport(
        path=path,
        size=path.stat().st_size,
        external={file.name: file.stat().st_size for file in external_files(model)},
        ir_version=stated_ir_version(model),
        opsets=dict(model.opset_imports),
        producer=producer,
        inputs=inputs,
        outputs=outputs,
        functions=tuple(f"{domain}::{name}" for domain, name, _ in model.functions),
        metadata=dict(model.metadata_props),
        ops=_histogram(model),
        sites=tuple(_site(site) for site in findings.sites),
        near_misses=tuple(NearMissFacts(m.name, m.shape, m.reason) for m in findings.near_misses),
        lint=lint(model, findings),
        ranges=_ranges(model, path, inputs, precision, samples or SampleOptions(), preprocess),
    )


def _ranges(
    model: ir.Model,
    path: Path,
    inputs: tuple[TensorSpec, ...],
    precision: str | None,
    samples: SampleOptions,
    preprocess: str | None,
) -> tuple[RangeFinding, ...]:
    """Audit the sites against a half type, by their shapes and by what sample data does there."""
    if samples.data is None and preprocess is not None:
        raise UsageError("a recipe is for pictures: give some", options=("data", "preprocess"))
    if precision is None:
        if samples.data is not None:
            raise UsageError(
                "samples measure ranges for fp16 or bf16: say which", options=("precision",)
            )
        return ()
    from simam_deploy.graph.types import HALF_TYPES
    from simam_deploy.precision.half.audit import audit
    from simam_deploy.precision.ranges import measure_ranges
    from simam_deploy.source.asked import preprocessing_of_onnx
    from simam_deploy.source.samples import open_dataset

    if precision not in HALF_TYPES:
        raise UsageError(
            f"the precision must be {' or '.join(HALF_TYPES)}; got {precision!r}",
            options=("precision",),
        )
    if samples.data is None:
        return audit(model, HALF_TYPES[precision])
    facts = preprocessing_of_onnx(model.metadata_props, inputs, preprocess)
    dataset = open_dataset(Path(samples.data), inputs, facts, limit=samples.limit)
    return audit(model, HALF_TYPES[precision], measure_ranges(path, dataset))


def _histogram(model: ir.Model) -> dict[str, int]:
    nodes = model.graph.all_nodes()
    counts = Counter(f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in nodes)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _site(site: Site) -> SiteFacts:
    from simam_deploy.graph.hazards import area_of, fp16_std, hazards_of
    from simam_deploy.graph.passes.epilogue_behind import epilogue_behind
    from simam_deploy.graph.types import dtype_name

    return SiteFacts(
        name=site.name,
        shape=site.shape,
        dtype=dtype_name(site.dtype),
        e_lambda=site.e_lambda,
        written_as=_written_as(site),
        nodes=len(site.nodes),
        epilogue=() if site.gate_only else epilogue_behind(site.y),
        fp16_std=fp16_std(area_of(site)),
        hazards=hazards_of(site),
    )


def _written_as(site: Site) -> str:
    """Name the form, and what is particular about it."""
    node = site.y.producer()
    form = f"{contract.DOMAIN}::{node.op_type}" if node and site.form == "function" else site.form
    last = site.layout[1] != 1
    traits = (("cast", site.island), ("channels last", last), ("gate only", site.gate_only))
    return ", ".join([form, *(name for name, holds in traits if holds)])
