"""Hold a plan against what was asked: nothing that differs goes unsaid."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from simam_deploy.core.artifacts import PlanAudit
from simam_deploy.engine.plan.plan_facts import Launch, PlanFacts
from simam_deploy.graph.recognise import Site, recognise

_PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_PRECISIONS = {
    ir.DataType.FLOAT: "fp32",
    ir.DataType.FLOAT16: "fp16",
    ir.DataType.BFLOAT16: "bf16",
}


@dataclass(frozen=True)
class GraphFacts:
    """What a graph says of itself: products by precision, and the nodes of each SimAM site."""

    products: Mapping[str, int]
    sites: Mapping[str, frozenset[str]]


def graph_facts(model: ir.Model, sites: Sequence[str] = ()) -> GraphFacts:
    """Read a graph.

    Args:
        model: The graph as it is built.
        sites: Names of SimAM sites that were lowered; their nodes are called `site/op`. Without
            any, those that are recognised count.
    """
    names = [node.name or "" for node in model.graph]
    lowered = {s: frozenset(n for n in names if n.startswith(f"{s}/")) for s in sites}
    found = lowered or {site.name: _nodes(site) for site in recognise(model).sites}
    return GraphFacts(products_of(model), found)


def products_of(model: ir.Model) -> dict[str, int]:
    """Count convolutions and matrix products by the precision that they compute in.

    A quantised one is one that reads a DequantizeLinear.
    """
    return dict(Counter(_precision(node) for node in model.graph if node.op_type in _PRODUCTS))


def main_precision(products: Mapping[str, int]) -> str:
    """Give what most products compute in; "fp32" where there is none."""
    return max(products, key=lambda precision: products[precision], default="fp32")


def _precision(node: ir.Node) -> str:
    x, weight = node.inputs[:2]
    producer = x.producer() if x is not None else None
    if producer is not None and producer.op_type == "DequantizeLinear":
        return "int8"
    kinds = [v.dtype for v in (weight, x) if v is not None and v.dtype is not None]
    return _PRECISIONS.get(kinds[0], kinds[0].name.lower()) if kinds else "unknown"


def _nodes(site: Site) -> frozenset[str]:
    last = site.y.producer()
    nodes = (*site.nodes, *([last] if last is not None else []))
    return frozenset(node.name for node in nodes if node.name)


def audit(asked: str, graph: GraphFacts, plan: PlanFacts | None, plugin: bool) -> PlanAudit:
    """Compare precision, SimAM sites and plugin of a plan with what was asked.

    Args:
        asked: The precision asked for.
        graph: The graph that was built.
        plan: What the plan will launch; None where it does not tell.
        plugin: Whether the SimAM plugin was asked for.
    """
    launches = plan.launches if plan else ()
    built = dict(Counter(n.precision or "unknown" for n in launches if n.kind == "product"))
    touching = [_touching(nodes, name, launches) for name, nodes in graph.sites.items()]
    plugins = sum(n.kind == "plugin" for n in launches)
    known = bool(touching) and all(touching)
    report = PlanAudit(
        source=plan.source if plan else "nothing: the plan does not tell, and there is no device",
        asked=asked,
        graph=graph.products,
        built=built if built else None,
        launches=len(launches) if plan else None,
        sites=len(graph.sites),
        fused=sum(len(t) == 1 for t in touching) if known else None,
        plugins=plugins if plan else None,
        reformats=_reformats(touching, launches) if known else None,
        findings=(),
    )
    return _with_findings(report, plugin)


def _touching(nodes: frozenset[str], site: str, launches: Iterable[Launch]) -> list[Launch]:
    """List the launches that compute some of a site; moves are counted on their own."""
    return [n for n in launches if n.kind != "move" and _origins(n.origin) & (nodes | {site})]


def _origins(text: str) -> set[str]:
    """Name the ONNX nodes in `[ONNX Layer: a][ONNX Layer: b/Mul | site (SimAM)]`."""
    entries = re.findall(r"\[ONNX Layer: ([^\]]*)\]", text)
    parts = (part.strip() for entry in entries for part in entry.split(" | "))
    return {re.sub(r" \(\w+\)$", "", part) for part in parts}


def _reformats(touching: Iterable[list[Launch]], launches: Iterable[Launch]) -> int:
    """Count the moves that read what a site's launch writes, or write what it reads."""
    ours = [launch for site in touching for launch in site]
    read = {name for launch in ours for name in launch.inputs}
    written = {name for launch in ours for name in launch.outputs}
    moves = [n for n in launches if n.kind == "move"]
    return sum(bool(read & {*n.outputs} or written & {*n.inputs}) for n in moves)


def _with_findings(report: PlanAudit, plugin: bool) -> PlanAudit:
    findings = []
    if report.built is not None and _main(report.built) not in (report.asked, "unknown"):
        findings.append(f"{report.asked} was asked, the plan computes in {_listed(report.built)}")
    if _main(report.graph) != report.asked and report.graph:
        findings.append(f"{report.asked} was asked, the graph is {_listed(report.graph)}")
    if plugin and report.plugins == 0:
        findings.append("the plugin was asked for, the plan holds none")
    return replace(report, findings=tuple(findings))


def _main(counts: Mapping[str, int]) -> str:
    return max(counts, key=lambda key: counts[key], default="unknown")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{precision} ({count})" for precision, count in counts.items())
