"""Made-up findings for the tests of the page: small, and with names that would break out of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from simam_deploy.bench.records import (
    Agreement,
    BatchRow,
    BenchReport,
    Circumstances,
    Ratio,
    Roofline,
    SiteRow,
    SubjectRow,
    Times,
)
from simam_deploy.core.artifacts import EngineArtifact, PlanAudit
from simam_deploy.core.inspection import InspectReport, LintFinding, NearMissFacts, SiteFacts
from simam_deploy.core.specs import TensorSpec
from simam_deploy.core.validation import CaseResult, ValidationReport
from simam_deploy.graph.outline import Outline, Row
from simam_deploy.pipeline.gathered import Drawing, Gathered, Variant
from simam_deploy.precision.gate_histogram import BINS, GateHistogram
from tests.report.reports import SEEN, right

HOSTILE = '</title><script>alert("1")</script>\u202e\x1b[31m$a$'
"""Markup, a mark that turns the direction of writing, an escape, and Matplotlib's mathematics."""

INPUT = TensorSpec("x", "float32", ("n", 3, 32, 32))


def validation(name: str = "y") -> dict[str, Any]:
    results = (
        CaseResult("normal", name, 1e-3, 1e-3, 4e-3, where="row 1"),
        CaseResult("picture", name, 2e-3, 3e-3, 4e-3),
        CaseResult("normal", "z", 0.0, 0.0, 0.0),
    )
    return ValidationReport("PyTorch", "ORT", "fp32", "a rule", results, power=SEEN).summary()


def histogram(name: str) -> GateHistogram:
    shares = tuple(1 / BINS for _ in range(BINS))
    return GateHistogram(name, (1, 8, 4, 4), shares, 0.6225, 0.7, 0.97, 0)


def variant(precision: str, *names: str) -> Variant:
    checks = tuple(replace(right(0), name=name) for name in names)
    histograms = tuple(map(histogram, names))
    return Variant(Path(f"m-{precision}.onnx"), precision, 1000, {}, histograms, checks)


def drawing(name: str = "layer1.0") -> Drawing:
    site = SiteFacts(name, ("n", 8, 4, 4), "float32", 1e-4, "var", 9, ("BN",), 12.0, (name,))
    inspection = InspectReport(
        path=Path("m-fp32.onnx"), size=1000, external={}, ir_version=8, opsets={"": 18},
        producer=name, inputs=(INPUT,), outputs=(replace(INPUT, name=name),), functions=(),
        metadata={name: name}, ops={"Conv": 1}, sites=(site,),
        near_misses=(NearMissFacts(name, None, name),), lint=(LintFinding("pow", (name,), name),),
    )  # fmt: skip
    row = Row(("3x3 conv 8",), "SimAM", (name, name), ("1x1 conv 8",), ("add",), True, (8, 4, 4), 2)
    rows = (replace(row, landmark="", names=(), skips=False, count=1), row, row)
    return Drawing(inspection, Outline(rows, ((0, 1), (1, 2), (0, 2))))


def bench(name: str = "m-fp32.onnx") -> BenchReport:
    times = Times(100, 2.0, 3.0, 4.0, 2.0, 500.0, 10, True)
    first = BatchRow(1, ("1x3x32x32",), times)
    other = BatchRow(
        1, ("1x3x32x32",), times, (Ratio(1.2, 1.1, 1.3, "wall", 3),),
        Agreement(name, 1e-3, 1e-2, True),
    )  # fmt: skip
    sites = (
        SiteRow(name, (1, 8, 4, 4), 1024, 0.1, 0.4),
        SiteRow("blind", (1, 8, 4, 4), 1024, 0.1, None, (), name),
    )
    return BenchReport(
        Circumstances("2026-11-27T00:00:00+00:00", name, None, {"numpy": "2"}, 1),
        name,
        (
            SubjectRow(
                name, "m-fp32.onnx", "cpu", "ORT", "fp32", 1000, 1.0, 10**7, batches=(first,)
            ),
            SubjectRow("other", "m-fp16.onnx", "cpu", precision="fp16", batches=(other,)),
            SubjectRow("lost", "lost.onnx", "cpu", reason=name),
        ),
        (Roofline(name, 1, name, 10.0, sites, 10**6, 0.5, 2.0, name),),
        starts=3,
        rounds=9,
        notes=(name,),
    )


def engine(name: str = "m.engine") -> EngineArtifact:
    audit = PlanAudit("a log", "fp16", {"float16": 3}, None, 12, 2, 2, 0, 0, (name,))
    return EngineArtifact(
        path=Path("m.engine"), manifest_path=Path("m.engine.json"), flavour="tensorrt_rtx",
        version="1.5", targets=("sm89",), precision="fp16", profiles=(), inputs=(INPUT,),
        outputs=(INPUT,), e_lambda=1e-4, lowering="portable", plugin=None, audit=audit,
        validation={"passed": None, "reason": "no GPU"}, notes=(name,), warnings=(), size=5000,
        build_seconds=1.0, peak_memory=10**9, cached=False, seconds=0.0,
    )  # fmt: skip


def facts(name: str = "resnet18") -> dict[str, Any]:
    return {
        "schema": 1,
        "arch": name,
        "e_lambda_source": name,
        "precision": "fp32",
        "source": {"file": name, "sha256": "0" * 64},
        "simam_sites": [{"name": name, "shape": ["n", 8], "e_lambda": 1e-4}],
        "notes": [name],
        "tools": {"torch": name},
        "command": name,
        "validation": validation(name),
    }


def gathered(name: str = "layer1.0", **changes: Any) -> Gathered:
    """Everything that a page can show; `name` is what files call their things."""
    made = Gathered(
        path=Path("m-fp32.onnx"),
        sha256="a" * 64,
        size=1000,
        facts=facts(name),
        validation=validation(name),
        compared="",
        drawing=drawing(name),
        variants=(variant("fp32", name), variant("fp16", name), variant("int8", name)),
        shown="a picture",
        gates=(replace(right(0), name=name), replace(right(1), name=name, error_ulps=math.nan)),
        engines=(engine(name),),
        bench=bench(name),
        views=None,
        command=f"simam-report {name}",
    )
    return replace(made, **changes)


def lean(name: str = "layer1.0", **changes: Any) -> Gathered:
    """The same without what has to be plotted."""
    return gathered(name, **{"variants": (), "bench": None, **changes})
