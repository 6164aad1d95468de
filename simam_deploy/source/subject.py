"""What every source of a network comes down to: a reference to run and a graph to lower."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simam_deploy.core.files import parts, sha256_of
from simam_deploy.core.specs import SimamSite
from simam_deploy.errors import InputError
from simam_deploy.runtime.protocol import Runner
from simam_deploy.source.lambdas import Lambda, other_lambdas
from simam_deploy.source.stated.choice import Taken
from simam_deploy.source.stated.record import Stated

if TYPE_CHECKING:
    import onnx_ir as ir

    from simam_deploy.graph.recognise import Findings
    from simam_deploy.source.checkpoint import Checkpoint

InputShapes = tuple[tuple[int, ...], ...]
"""One full shape per input."""

_NONE = "no SimAM was found: the graph stays as it is, and no gate was judged"
_UNSAFE = (
    "its variance is E[x^2] - E[x]^2, which cancels in float32 (the gate is off by 2e-2 at a mean "
    "of 1000 deviations); what is written takes the mean off first, so that on such maps the "
    "source is the one that is off, and a comparison with it may be refused"
)


@dataclass(frozen=True)
class Opset:
    """What is asked of the opset of a graph.

    Attributes:
        asked: The opset; None leaves it open.
        least: What the result's precision needs where it is open.
    """

    asked: int | None = None
    least: int = 0

    def choose(self, own: int) -> int:
        """Give the one that was asked for, else the source's own or a newer one."""
        return self.asked or max(own, self.least)


@dataclass(frozen=True)
class Traced:
    """A graph whose SimAM sites are `simam::SimAM` nodes, and what else was seen in it."""

    model: ir.Model
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A network, wherever it comes from.

    Attributes:
        facts: What the manifest will say of it: arch, source, preprocessing and the like.
        e_lambda: The lambda it was built with; None where each site of the graph has its own.
        notes: What was stripped, converted or left out on the way.
        shapes: The full input shapes to validate at.
        precision: Of the graph, by `graph.types.precision_of`.
        opset: The opset its graph is to have.
        reference: Opens the runner that is right by definition.
        graph: Traces or reads the graph.
        contradictions: Where the source says other than a user, a line each.
        stated: What the source says of itself, to be held against its graph.
    """

    facts: dict[str, Any]
    e_lambda: Lambda | None
    notes: tuple[str, ...]
    shapes: tuple[InputShapes, ...]
    precision: str
    opset: int
    reference: Callable[[], Runner]
    graph: Callable[[], Traced]
    contradictions: tuple[str, ...] = ()
    stated: Stated = field(default_factory=Stated)

    def contradicted(self, sites: Sequence[SimamSite]) -> list[str]:
        """List where the source says other than a user, or than what its graph holds."""
        found = (*self.contradictions, *other_lambdas(sites, self.stated.lambdas))
        return list(dict.fromkeys(found))  # an export of ours may have said it before


def file_facts(source: Path) -> dict[str, Any]:
    """Give what a manifest says of a source file; its name alone, for folders are private."""
    size = sum(part.stat().st_size for part in parts(source))
    return {"file": source.name, "sha256": sha256_of(source), "size": size}


def origin(checkpoint: Checkpoint) -> dict[str, Any]:
    """Give what a manifest says of a checkpoint; its name alone, for folders are private."""
    return {
        "file": checkpoint.path.name,
        "sha256": checkpoint.sha256,
        "size": checkpoint.size,
        "entry": checkpoint.entry,
    }


def say_stated(subject: Subject, stated: Stated, taken: Taken) -> Subject:
    """Add to a network of no known family what its file says of it.

    Args:
        subject: The network.
        stated: What the file says.
        taken: What is taken of that.
    """
    return replace(
        subject,
        facts={**subject.facts, **taken.facts},
        notes=(*subject.notes, *taken.notes),
        contradictions=(*subject.contradictions, *taken.contradictions),
        stated=stated,
    )


def take_sites(model: ir.Model, where: str, allow_none: bool = False) -> Traced:
    """Recognise SimAM in a graph that somebody wrote in plain ops, and make nodes of it.

    Args:
        model: The graph; it is used up.
        where: The file, for the error.
        allow_none: Whether a graph without any is taken as it is, with a note of that.

    Raises:
        InputError: No SimAM was found; names what comes near, with the reason.
    """
    from simam_deploy.graph.prepare import with_sites
    from simam_deploy.graph.sites import simam_nodes

    model, findings = with_sites(model)
    notes = tuple(_remarks(findings))
    if simam_nodes(model):
        return Traced(model, notes)
    if allow_none:
        return Traced(model, (_NONE, *(notes or ("nothing comes near SimAM",))))
    near = "; ".join(notes[:3]) or "nothing comes near it"
    raise InputError(
        f"{where} holds no SimAM: {near}; to have it exported as it is, allow that",
        options=("allow_none",),
    )


def _remarks(findings: Findings) -> list[str]:
    """Word near-misses and gates, which stay as they are."""
    near = [f"{miss.name} is no SimAM: {miss.reason}" for miss in findings.near_misses]
    gates = [
        f"{s.name}: the gate alone is used, left as it is" for s in findings.sites if s.gate_only
    ]
    return near + gates + [f"{s.name}: {_UNSAFE}" for s in findings.sites if s.form == "moments"]
