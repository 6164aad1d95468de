"""What recognition reports."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

Shape = tuple[int | str | None, ...]
"""A dimension is a number, the name of a symbol, or None where only its being there is known."""


@dataclass(frozen=True)
class Site:
    """One proved SimAM.

    Attributes:
        name: Unique and for people: the torch module it came from, else the name of the last node.
        x: The feature map that goes in, (N, C, H, W).
        y: What comes out, of x's shape and dtype; the gate where `gate_only`.
        e_lambda: The regulariser lambda, the shortest decimal the file's constants round from.
        shape: Of x.
        dtype: Of x.
        gate_only: The gate is used, but not to scale x.
        form: How it is written: "reduce-sum"; "var", the mean of d^2 put right by a factor, as
            x.var() is exported; "flattened", to (N, C, H*W); "instance-norm"; or "function", a
            node that is `simam::SimAM` already.
        island: There are Casts around it: it is computed in another dtype than x's.
        nodes: What y is computed with and nothing else needs: they die with it.
    """

    name: str
    x: ir.Value
    y: ir.Value
    e_lambda: float
    shape: Shape | None
    dtype: ir.DataType | None
    gate_only: bool
    form: str
    island: bool
    nodes: tuple[ir.Node, ...]


@dataclass(frozen=True)
class NearMiss:
    """What looks like SimAM and is not, cannot be proved, or must be left alone.

    Attributes:
        name: As for a site.
        shape: Of the feature map.
        reason: The first thing that differs from the contract.
    """

    name: str
    shape: Shape | None
    reason: str


@dataclass(frozen=True)
class Findings:
    """All sites and near-misses, each in the order of the graph."""

    sites: tuple[Site, ...]
    near_misses: tuple[NearMiss, ...]
