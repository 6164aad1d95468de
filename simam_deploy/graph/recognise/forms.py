"""What a value of the graph is, algebraically, in terms of one feature map x.

SimAM is not matched as an arrangement of nodes. Each value that is computed from x by the
operators of its formula is read as one of a few forms; `terms`, `blends`, `moments`, `expansions`
and `gates` say what form a sum, a product or a power of forms is. Any arrangement of the formula
thus ends in the same `Term`:

    gain * d^power * (slope * S + bias)^order + offset,   d = x - mean(x),  S = sum(d^2)

whose gate is SimAM's if power = 2, order = -1, slope * (H*W - 1) / gain = 4 and offset = 1/2; then
lambda is bias / (4 * gain).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import onnx_ir as ir

from simam_deploy.graph.recognise.interval import ONE, ZERO, Interval

Axes = frozenset[int]
"""Dimensions of x."""


@dataclass(frozen=True)
class Map:
    """The feature map itself, cast or reshaped perhaps, or `factor` times a flattened one."""

    root: ir.Value
    factor: Interval = ONE


@dataclass(frozen=True)
class Average:
    """`share` times the sum of x over `axes`: the mean where share is 1 / `count`."""

    root: ir.Value
    axes: Axes
    count: int
    share: Interval


@dataclass(frozen=True)
class Rest:
    """The mean of d over `axes`; over all of `mean_axes`, those of the mean in d, it is zero.

    It is what rounding left of the mean: taken from d, it leaves d.
    """

    root: ir.Value
    mean_axes: Axes
    axes: Axes


@dataclass(frozen=True)
class Plane:
    """`slope` * S + `bias` with S = sum(d^2) over `axes`.

    Attributes:
        form: How the sum was taken, as a site reports it.
        floor: What `slope` * S is at least made by a clamp.
    """

    slope: Interval
    bias: Interval
    axes: Axes
    form: str = field(compare=False)
    floor: float = 0.0


@dataclass(frozen=True)
class Term:
    """`gain` * d^`power` * `plane`^`order` + `offset`; `mean_axes` are those of the mean in d.

    Attributes:
        cap: What a clamp makes of all that lies beyond it, None where there is none.
        cancels: Its d^2 is a difference of large numbers where the mean is large.
    """

    root: ir.Value
    mean_axes: Axes
    gain: Interval = ONE
    power: int = 1
    plane: Plane | None = None
    order: Fraction = Fraction(0)
    offset: Interval = ZERO
    cap: float | None = None
    cancels: bool = field(default=False, compare=False)

    @property
    def is_difference(self) -> bool:
        """Whether it is just d, or a multiple of it."""
        return self.power == 1 and self.plane is None and self.offset == ZERO

    @property
    def is_plane(self) -> bool:
        """Whether it is just `plane`: one number a plane, affine in S."""
        return self.power == 0 and self.order == 1

    @property
    def is_energy(self) -> bool:
        """Whether it is d to some power over the plane to some power."""
        return self.power > 0 and self.order < 0

    @property
    def is_simam(self) -> bool:
        """Whether it is d^2 over the plane, as in SimAM, whatever the numbers."""
        return self.power == 2 and self.order == -1


@dataclass(frozen=True)
class Absolute:
    """The absolute value of d, or of a multiple of it."""

    root: ir.Value
    term: Term


@dataclass(frozen=True)
class Blend:
    """A multiple of d^2 and a plane, added: `pixel` + `plane`."""

    root: ir.Value
    pixel: Term
    plane: Term


@dataclass(frozen=True)
class Inverse:
    """1 / `of`, such as the paper's e*: the smaller, the more a pixel differs from the others."""

    root: ir.Value
    of: Term | Blend


@dataclass(frozen=True)
class Square:
    """`factor` * x^2, which may be a map of its own too: `value`."""

    root: ir.Value
    value: ir.Value
    factor: Interval


@dataclass(frozen=True)
class Moment:
    """`second` * sum(x^2) + `first` * sum(x)^2 over `axes`, which are `count` elements.

    Attributes:
        square: x^2 where there is nothing but its sum, None otherwise.
    """

    root: ir.Value
    axes: Axes
    count: int
    second: Interval
    first: Interval
    square: ir.Value | None = None


@dataclass(frozen=True)
class Expansion:
    """`square` * x^2 + `mixed` * x * sum(x) + `first` * sum(x)^2, summed over `axes`.

    Attributes:
        count: How many elements a sum has.
    """

    root: ir.Value
    axes: Axes
    count: int
    square: Interval
    mixed: Interval
    first: Interval


@dataclass(frozen=True)
class NotFinite:
    """A boolean that is true at most where a value that x was made into is no finite number.

    Attributes:
        inverted: It is false at most there.
        never: Not even there, such as of -e > 20.
    """

    root: ir.Value
    inverted: bool = False
    never: bool = False


@dataclass(frozen=True)
class Flawed:
    """What would be part of SimAM, but for `reason`.

    Attributes:
        is_energy: Whether it would be all of the energy, or its denominator only.
        is_simam: Whether d^2 over the plane is in it.
    """

    root: ir.Value
    reason: str
    is_energy: bool = True
    is_simam: bool = False


@dataclass(frozen=True)
class Gate:
    """`gain` * activation(energy) + `offset`.

    Attributes:
        activation: In small letters, as ONNX calls it.
        node: The last node of the activation.
        inner: Nodes of it that are activations themselves, of an energy too.
    """

    root: ir.Value
    energy: Term | Flawed
    activation: str
    node: ir.Node
    gain: Interval = ONE
    offset: Interval = ZERO
    inner: tuple[ir.Node, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it is the activation itself, not scaled or shifted."""
        return self.gain == ONE and self.offset == ZERO


Form = (
    Map
    | Average
    | Rest
    | Term
    | Absolute
    | Blend
    | Inverse
    | Square
    | Moment
    | Expansion
    | NotFinite
    | Flawed
    | Gate
)
