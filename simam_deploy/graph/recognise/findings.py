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
        x: The feature map that goes in.
        y: What comes out, of x's shape and dtype; the gate where `gate_only`.
        e_lambda: The regulariser lambda, the shortest decimal the file's constants round from.
        shape: Of x.
        dtype: Of x.
        gate_only: The gate is used, but not to scale x.
        form: How it is written: "reduce-sum"; "var", the mean of d^2 put right by a factor, as
            x.var() is exported; "flattened", to (N, C, H*W); "instance-norm"; "moments", as
            E[x^2] - E[x]^2 or x^2 - 2 x m + m^2, which floating point cancels; or "function", a
            node that is `simam::SimAM` already.
        layout: The dimensions of x as N, C and those of a plane: (0, 1, 2, 3), or (0, 3, 1, 2)
            where the channels come last; as many as x has.
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
    layout: tuple[int, ...]
    island: bool
    nodes: tuple[ir.Node, ...]

    @property
    def plane(self) -> Shape:
        """The dimensions of a plane, none where the shape is unknown."""
        return () if self.shape is None else tuple(self.shape[axis] for axis in self.layout[2:])

    @property
    def is_as_contract(self) -> bool:
        """Whether it is y = SimAM(x) of an x (N, C, H, W), as the operator is."""
        return not self.gate_only and self.layout == (0, 1, 2, 3)


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
