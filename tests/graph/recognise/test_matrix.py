"""Every way of writing SimAM, as every exporter writes it down."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from itertools import product

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from simam_deploy.graph.recognise import Findings, NearMiss, Site, recognise, to_nodes
from tests.graph.recognise.exporting import Cell, branch_of, export
from tests.graph.recognise.running import difference, run, written_out
from tests.graph.recognise.variants import VARIANTS, Variant
from tests.graph.recognise.writings import WRITINGS
from tests.marks import slow_but

DYNAMIC = ("static", "batch", "hw")
DTYPES = (torch.float32, torch.float16)
TORCHSCRIPT = [Cell("torchscript", *c) for c in product((11, 13, 17, 18), DYNAMIC, DTYPES)]
DYNAMO = [Cell("dynamo", *c) for c in product((18, 20, 23), DYNAMIC, DTYPES)]
# A cell of the dynamo exporter takes 4 to 14 s; each opset, shape and dtype is in one of these.
QUICK = {"dynamo-18-static-fp32", "dynamo-20-batch-fp16", "dynamo-23-hw-fp32"}
CELLS = TORCHSCRIPT + [
    cell if str(cell) in QUICK else pytest.param(cell, marks=pytest.mark.slow) for cell in DYNAMO
]
# Either exporter, fixed sizes and free ones; dynamo's free ones take thrice as long as its fixed.
FEW = {"torchscript-11-hw-fp32", "torchscript-17-static-fp16", "dynamo-18-static-fp32"}
EVERY = [*TORCHSCRIPT, *DYNAMO]

# What was computed in half precision before is computed in fp32 after.
HALF = {"half_island", "half_energy"}


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_each_variant_is_told_for_what_it_is(cell: Cell) -> None:
    assert_told(cell, VARIANTS)


@pytest.mark.parametrize("cell", slow_but([c for c in EVERY if str(c) in FEW], EVERY), ids=str)
def test_each_writing_is_told_for_what_it_is(cell: Cell) -> None:
    assert_told(cell, WRITINGS)


def assert_told(cell: Cell, variants: Sequence[Variant]) -> None:
    proto = export(cell, variants)
    model = ir.from_proto(proto)
    findings = recognise(model)
    wrong = [fault for variant in variants for fault in faults(variant, variants, findings)]
    assert wrong == []
    release = tuple(map(int, version("onnxruntime").split(".")[:2]))
    if str(cell).startswith("torchscript") and str(cell).endswith("fp16") and release < (1, 31):
        pytest.skip("ONNX Runtime before 1.31 leaves a Cast of these graphs in the wrong type")
    assert_same_outputs(cell, variants, proto, model, findings)


def faults(variant: Variant, variants: Sequence[Variant], findings: Findings) -> list[str]:
    """Return what `findings` get wrong of a variant."""
    own = variant.name
    sites = [site for site in findings.sites if branch_of(site.name, variants) == own]
    misses = [miss for miss in findings.near_misses if branch_of(miss.name, variants) == own]
    seen = [f"{variant.name}: {finding_text(finding)}" for finding in [*sites, *misses]]
    right_sites = len(sites) == variant.sites and all(
        (site.e_lambda, site.gate_only, site.form)
        == (variant.e_lambda, variant.gate_only, variant.form)
        for site in sites
    )
    right_misses = len(misses) == bool(variant.reason) and all(
        variant.reason in miss.reason for miss in misses
    )
    return [] if right_sites and right_misses else seen or [f"{variant.name}: nothing"]


def finding_text(finding: Site | NearMiss) -> str:
    if isinstance(finding, NearMiss):
        return finding.reason
    return f"{finding.form} lambda {finding.e_lambda} gate only {finding.gate_only}"


def assert_same_outputs(
    cell: Cell,
    variants: Sequence[Variant],
    proto: onnx.ModelProto,
    model: ir.Model,
    findings: Findings,
) -> None:
    """Replace the sites and compare the outputs, at another size where there may be one."""
    replaced = to_nodes(model, findings)
    assert replaced == sum(variant.sites for variant in variants if not variant.gate_only)
    shape = {"static": (2, 3, 8, 12), "batch": (3, 3, 8, 12), "hw": (3, 3, 10, 7)}[cell.dynamic]
    dtype = np.float32 if cell.dtype is torch.float32 else np.float16
    x = np.random.default_rng(0).normal(0.3, 1.5, shape).astype(dtype)
    before, after = run(proto, x), run(written_out(model), x)
    for variant, old, new in zip(variants, before, after, strict=True):
        exact = dtype is np.float32 and variant.name not in HALF
        assert difference(new, old) < (2e-6 if exact else 2e-3), variant.name
        assert new.dtype == old.dtype
