"""Hold a plan against what was asked: nothing that differs goes unsaid."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from simam_deploy.core.artifacts import PlanAudit
from simam_deploy.engine.plan.plan_facts import Launch, PlanFacts
from simam_deploy.graph.recognise import Site, recognise
from simam_deploy.graph.types import FLOAT8, PRODUCTS, precision_name, precision_of


@dataclass(frozen=True)
class GraphFacts:
    """What a graph says of itself: its precision, products by theirs, the nodes of each site."""

    precision: str
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
    return GraphFacts(precision_of(model), products_of(model), found)


def products_of(model: ir.Model) -> dict[str, int]:
    """Count convolutions and matrix products by the precision that they compute in.

    A quantised one is one that reads a DequantizeLinear.
    """
    return dict(Counter(_precision(node) for node in model.graph if node.op_type in PRODUCTS))


def _precision(node: ir.Node) -> str:
    x, weight = node.inputs[:2]
    producer = x.producer() if x is not None else None
    if producer is not None and producer.op_type == "DequantizeLinear":
        stored = producer.inputs[0]
        return "fp8" if stored is not None and stored.dtype == FLOAT8 else "int8"
    kinds = [v.dtype for v in (weight, x) if v is not None and v.dtype is not None]
    return precision_name(kinds[0]) if kinds else "unknown"


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
    built = _built(launches)
    touching = [_touching(nodes, name, launches) for name, nodes in graph.sites.items()]
    plugins = sum(n.kind == "plugin" for n in launches)
    known = bool(touching) and all(touching)
    report = PlanAudit(
        source=_source(plan),
        asked=asked,
        graph=graph.products,
        built=built if built else None,
        launches=plan.count if plan else None,
        sites=len(graph.sites),
        fused=sum(len(t) == 1 for t in touching) if known else None,
        plugins=plugins if plan else None,
        reformats=_reformats(touching, launches) if known else None,
        findings=(),
    )
    return replace(report, findings=tuple(_findings(report, graph.precision, plugin)))


def _source(plan: PlanFacts | None) -> str:
    if plan is None:
        return "nothing: the plan does not tell, and there is no device"
    kinds = ", ".join(plan.unknown)
    return f"{plan.source}, with kinds that are not known here: {kinds}" if kinds else plan.source


def is_as_audited(plan: PlanFacts, stated: PlanAudit) -> bool:
    """Tell whether a plan launches what an audit of it says."""
    launches = plan.launches
    plugins = sum(n.kind == "plugin" for n in launches)
    return (
        plan.count == stated.launches
        and plugins == stated.plugins
        and (_built(launches) or None) == stated.built
    )


def _built(launches: Iterable[Launch]) -> dict[str, int]:
    """Count the products by the precision that they compute in."""
    return dict(Counter(n.precision or "unknown" for n in launches if n.kind == "product"))


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


def _findings(report: PlanAudit, precision: str, plugin: bool) -> Iterator[str]:
    """Say what is other than asked.

    A graph is of the lowest precision in it, and may compute more in another: the plan is to
    compute most in what the graph does, and some in what was asked if the graph does.
    """
    asked, graph, built = report.asked, report.graph, report.built or {}
    wanted = _main(graph) if graph else {asked}
    lost = (asked in graph or precision != asked) and not {asked, "unknown"} & built.keys()
    if built and (lost or not _main(built) & {*wanted, "unknown"}):
        yield f"{asked} was asked, the plan computes in {_listed(built)}"
    if precision != asked and graph:
        yield f"{asked} was asked, the graph is {_listed(graph)}"
    if plugin and report.plugins == 0:
        yield "the plugin was asked for, the plan holds none"


def _main(counts: Mapping[str, int]) -> set[str]:
    """Give what there is most of: several, where as many are of each."""
    most = max(counts.values())
    return {key for key, count in counts.items() if count == most}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{precision} ({count})" for precision, count in counts.items())
