"""What an inspection of an ONNX file found: frozen, and ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simam_deploy.core.specs import TensorSpec
from simam_deploy.core.validation import json_ready

Shape = tuple[int | str | None, ...]
"""A dimension is a number, a symbol's name, or None where nothing is known of it."""


@dataclass(frozen=True)
class SiteFacts:
    """One proved SimAM.

    Attributes:
        name: The torch module it was exported from, else its last node.
        shape: Of the feature map, (N, C, H, W); None where it is unknown.
        dtype: Of the feature map.
        e_lambda: The regulariser lambda.
        written_as: How the graph computes it, for people.
        nodes: How many nodes it is made of.
        epilogue: What follows it alone and could be fused, in order: "BN", "scale", "bias",
            "residual", "ReLU", "ReLU6".
        fp16_std: The standard deviation of a plane from which a sum of squares in fp16 exceeds
            65504; None where H*W is not known or 1.
        hazards: What goes wrong, or will in fp16.
    """

    name: str
    shape: Shape | None
    dtype: str
    e_lambda: float
    written_as: str
    nodes: int
    epilogue: tuple[str, ...]
    fp16_std: float | None
    hazards: tuple[str, ...]


@dataclass(frozen=True)
class NearMissFacts:
    """What looks like SimAM and is not, or must be left alone, and why."""

    name: str
    shape: Shape | None
    reason: str


@dataclass(frozen=True)
class LintFinding:
    """A habit of an exporter that costs something.

    Attributes:
        rule: A short name.
        places: The names of the nodes or values.
        message: What it is and what to do.
    """

    rule: str
    places: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class PlaneRange:
    """What a sample showed at a site: pixels of a plane, the largest std and |x - mean| of any."""

    pixels: int
    std: float
    deviation: float


@dataclass(frozen=True)
class RangeFinding:
    """One site.

    Attributes:
        name: The site's.
        pixels: H*W; None where neither the shape nor a sample tells.
        std_limit: The plane std from which the sum of squares overflows.
        deviation_limit: The |x - mean| from which one square overflows.
        count: n = H*W - 1 as the half type holds it, infinite where it overflows.
        island: Whether the graph computes the site in float32.
        measured: What the sample showed.
        level: "ok", "warning" or "error".
        reason: Why it is not ok.
    """

    name: str
    pixels: int | None
    std_limit: float | None
    deviation_limit: float
    count: float | None
    island: bool
    measured: PlaneRange | None
    level: str
    reason: str

    @property
    def margin(self) -> float | None:
        """How many times what was measured fits into the limits; None without a sample."""
        if self.measured is None or self.std_limit is None:
            return None
        std, deviation = self.measured.std, self.measured.deviation
        ratios = [
            limit / value if value else math.inf
            for limit, value in ((self.std_limit, std), (self.deviation_limit, deviation))
        ]
        return min(ratios)

    def to_json(self) -> dict[str, Any]:
        """Give every field and the margin; None for what is not finite."""
        document: dict[str, Any] = json_ready({**asdict(self), "margin": self.margin})
        return document


@dataclass(frozen=True)
class InspectReport:
    """All that `simam-inspect` says of a file.

    Attributes:
        path: The .onnx.
        size: Its bytes.
        external: Bytes by external file, named relative to the model's folder.
        ir_version: Of the message.
        opsets: Version by domain, "" being the default.
        producer: The exporter, with its version.
        inputs: Without those that are initializers too.
        outputs: Of the main graph.
        functions: The names of the functions that the model defines.
        metadata: metadata_props.
        ops: How many nodes of each operator, nested graphs included, most frequent first.
        sites: In the order of the graph.
        near_misses: In the order of the graph.
        lint: What could be better.
        ranges: What each site would need of a half type; empty where none was asked about.
        engine: Of an engine in an EPContext node, its attributes and what its plan shows; of a
            graph, nothing.
    """

    path: Path
    size: int
    external: Mapping[str, int]
    ir_version: int
    opsets: Mapping[str, int]
    producer: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    functions: tuple[str, ...]
    metadata: Mapping[str, str]
    ops: Mapping[str, int]
    sites: tuple[SiteFacts, ...]
    near_misses: tuple[NearMissFacts, ...]
    lint: tuple[LintFinding, ...]
    ranges: tuple[RangeFinding, ...] = ()
    engine: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give the document that `simam inspect --json` prints."""
        document = {**asdict(self), "path": str(self.path), "opset": self.opsets[""]}
        return {**document, "ranges": [finding.to_json() for finding in self.ranges]}
