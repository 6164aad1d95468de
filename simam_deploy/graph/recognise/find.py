"""Find every SimAM in a model and prove it, at as many input sizes as that takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import onnx_ir as ir

from simam_deploy.graph.recognise import moments
from simam_deploy.graph.recognise.constant import Constant
from simam_deploy.graph.recognise.extent import distinct, dying, ends, is_island, name_of
from simam_deploy.graph.recognise.facts import Facts
from simam_deploy.graph.recognise.findings import Findings, NearMiss, Shape, Site
from simam_deploy.graph.recognise.forms import Axes, Gate, Term
from simam_deploy.graph.recognise.interval import Interval
from simam_deploy.graph.recognise.judge import Verdict, judge
from simam_deploy.graph.recognise.planes import channels_last, order
from simam_deploy.graph.recognise.scan import Candidate, scan
from simam_deploy.graph.recognise.scene import Scene
from simam_deploy.graph.recognise.signature import Signature
from simam_deploy.graph.recognise.sizes import NEEDED, Sizes, readings
from simam_deploy.op import contract


@dataclass(frozen=True)
class _Opinion:
    """What one reading says of one candidate; no verdict where it can say nothing."""

    candidate: Candidate
    scene: Scene
    sizes: Sizes
    verdict: Verdict | None


def recognise(model: ir.Model) -> Findings:
    """Find SimAM in the main graph of `model`, which is left as it is but for the nodes' order.

    Converters write nodes behind their users, which ONNX forbids and ONNX Runtime takes; they are
    sorted.

    A place is a site only if it is proved: by what its nodes compute, and by the numbers in them.
    Where sizes are symbolic the proof is made at three choices of them. Function bodies are not
    looked into (`graph.prepare.opened` writes them out); the bodies of If, Loop and Scan are, for
    near-misses.

    Args:
        model: Opset 11 to 23. Of its tensors only those of at most 8192 elements are loaded.

    Returns:
        The sites and what is nearly one, with the reason.

    Raises:
        InputError: A small tensor's data cannot be read.
    """
    with suppress(ValueError):  # A cycle: what depends on it is read as unknown.
        model.graph.sort()
    opinions = _consult(model)
    position = {node: index for index, node in enumerate(model.graph)}
    # What lies in a body comes last, in the order in which it was found.
    places = sorted(opinions, key=lambda node: position.get(node, len(position)))
    names = distinct([name_of(node) for node in places])
    found = [_conclude(name, opinions[node]) for name, node in zip(names, places, strict=True)]
    return Findings(
        tuple(finding for finding in found if isinstance(finding, Site)),
        tuple(finding for finding in found if isinstance(finding, NearMiss)),
    )


def _consult(model: ir.Model) -> dict[ir.Node, list[_Opinion]]:
    """Read the model until every candidate is settled; return the opinions on each."""
    opinions: dict[ir.Node, list[_Opinion]] = {}
    signatures: dict[ir.Node, Signature | None] = {}
    stored: dict[ir.Value, Constant | None] = {}
    for count, sizes in enumerate(readings(model.graph), start=1):
        scene = Scene(Facts(model, sizes, signatures, stored))
        for candidate in scan(model.graph, scene):
            if not _is_silent(candidate):
                opinion = _Opinion(candidate, scene, sizes, _verdict(candidate, scene, sizes))
                opinions.setdefault(candidate.node, []).append(opinion)
        if not sizes.varied:
            break
        if count >= NEEDED and all(_decisive(said) >= NEEDED for said in opinions.values()):
            break
    return opinions


def _decisive(opinions: Iterable[_Opinion]) -> int:
    return sum(opinion.verdict is not None for opinion in opinions)


def _verdict(candidate: Candidate, scene: Scene, sizes: Sizes) -> Verdict | None:
    """Judge a candidate in one reading; None where that reading proves nothing."""
    if candidate.gate is None:
        return _declared(candidate.node)
    shape = scene.shape(candidate.root)
    last = _channels_last(candidate, scene)
    pixels = math.prod(shape[axis] for axis in order(len(shape), last)[2:])
    if scene.facts.guessed(candidate.root) or (sizes.varied and pixels < 2):
        return None
    verdict = judge(candidate.gate, shape, last)
    if verdict.e_lambda is not None and candidate.foreign:
        return Verdict(None, "gate of another tensor")
    factors = [value for value in candidate.node.inputs if value is not None]
    shapes = {scene.shape(value) for value in factors if scene.interval(value) is None}
    if verdict.e_lambda is not None and len(shapes) > 1:
        return Verdict(None, "the gate is of another shape than x")
    return verdict


def _channels_last(candidate: Candidate, scene: Scene) -> bool:
    """Tell whether the feature map has its channels last; a node's own never has."""
    energy = None if candidate.gate is None else candidate.gate.energy
    axes = energy.mean_axes if isinstance(energy, Term) else Axes()
    return candidate.gate is not None and channels_last(candidate.root, axes, scene)


def _declared(node: ir.Node) -> Verdict:
    """Judge a `simam::SimAM` node."""
    attribute = node.attributes.get(contract.LAMBDA_ATTRIBUTE)
    if attribute is None or attribute.type != ir.AttributeType.FLOAT:
        return Verdict(
            None, f"{contract.DOMAIN}::{contract.OP_TYPE} without {contract.LAMBDA_ATTRIBUTE}"
        )
    e_lambda = attribute.as_float()
    if not (math.isfinite(e_lambda) and e_lambda >= 0):
        return Verdict(None, f"lambda = {e_lambda:g}, not a finite number from 0 up")
    return Verdict(Interval.of_float32(e_lambda).shortest(), "")


def _is_silent(candidate: Candidate) -> bool:
    """Tell whether a candidate is just the sigmoid of some norm, which many networks have.

    What does not scale its own feature map is an attempt at SimAM only if it is d^2 / v.
    """
    if candidate.gate is None or (candidate.x is not None and not candidate.foreign):
        return False
    return not candidate.gate.energy.is_simam


def _conclude(name: str, opinions: Sequence[_Opinion]) -> Site | NearMiss:
    """Draw the conclusion from all that was said of one candidate."""
    decisive = [opinion for opinion in opinions if opinion.verdict] or opinions
    candidate, scene = decisive[-1].candidate, decisive[-1].scene
    shape = _shape(candidate.root, decisive)
    verdict = _settle(opinions, shape)
    if candidate.within is not None:
        reason = verdict.reason or "reported, left untouched"
        return NearMiss(name, shape, f"inside {candidate.within}: {reason}")
    if verdict.e_lambda is None:
        return NearMiss(name, shape, verdict.reason)
    values = ends(candidate, scene)
    if values is None:
        return NearMiss(name, shape, "flattened, and the result never (N, C, H, W) again")
    x, y = values
    return Site(
        name=name,
        x=x,
        y=y,
        e_lambda=verdict.e_lambda,
        shape=shape,
        dtype=scene.facts.dtype(x),
        gate_only=candidate.x is None,
        form=_form(candidate.gate),
        layout=order(len(scene.shape(x)), _channels_last(candidate, scene)),
        island=is_island(x, y, candidate, scene),
        nodes=dying(x, y),
    )


def _settle(opinions: Sequence[_Opinion], shape: Shape | None) -> Verdict:
    """Return the verdict on which all readings agree, or that there is none."""
    verdicts = [opinion.verdict for opinion in opinions if opinion.verdict]
    if len(verdicts) < (NEEDED if opinions[0].sizes.varied else 1):
        if shape is not None and shape[2:] == (1, 1):
            return Verdict(None, "H*W = 1, where SimAM divides by zero")
        return Verdict(None, "n could not be proved: the shape of x is unknown")
    if len(set(verdicts)) == 1:
        return verdicts[0]
    if all(verdict.e_lambda is not None for verdict in verdicts):
        return Verdict(None, "lambda changes with the size of the input")
    return Verdict(None, "n could not be proved: it is not H*W - 1 at every size of the input")


def _shape(value: ir.Value, opinions: Sequence[_Opinion]) -> Shape | None:
    """Return the shape of `value` in numbers, and in symbols where those differ."""
    if any(opinion.scene.facts.guessed(value) for opinion in opinions):
        return None
    columns = zip(*(opinion.scene.shape(value) for opinion in opinions), strict=False)
    return tuple(_dimension(column, axis, value, opinions) for axis, column in enumerate(columns))


def _dimension(
    numbers: Sequence[int], axis: int, value: ir.Value, opinions: Sequence[_Opinion]
) -> int | str | None:
    if len(set(numbers)) == 1:
        return numbers[0]
    declared = list(value.shape or ())[axis : axis + 1]
    if declared and isinstance(declared[0], ir.SymbolicDim):
        return declared[0].value
    for symbol in opinions[0].sizes.symbols:
        if [opinion.sizes.symbols[symbol] for opinion in opinions] == list(numbers):
            return symbol
    return None


def _form(gate: Gate | None) -> str:
    if gate is None:
        return "function"
    assert isinstance(gate.energy, Term) and gate.energy.plane is not None  # It was proved.
    return moments.FORM if gate.energy.cancels else gate.energy.plane.form
