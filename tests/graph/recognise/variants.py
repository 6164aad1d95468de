"""Every way of writing SimAM seen in public code, and what differs from it in one thing.

The argument of each function is a feature map (N, C, H, W) and lambda; see `VARIANTS` at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

HW = (2, 3)
Function = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Variant:
    """A function and what recognition must say of it.

    Attributes:
        name: Not part of the name of another.
        function: Takes x and lambda.
        e_lambda: What is handed to it.
        sites: How many sites there are in it.
        gate_only: Whether they are gates alone.
        form: That of the sites.
        reason: Part of the reason of the near-miss; "" if there is none.
    """

    name: str
    function: Function
    e_lambda: float
    sites: int = 1
    gate_only: bool = False
    form: str = "reduce-sum"
    reason: str = ""


def official(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d = (x - x.mean(dim=[2, 3], keepdim=True)).pow(2)
    y = d / (4 * (d.sum(dim=[2, 3], keepdim=True) / n + e_lambda)) + 0.5
    return x * torch.sigmoid(y)


def product_of_d(x: Tensor, e_lambda: float) -> Tensor:
    d = x - x.mean(HW, keepdim=True)
    d2 = d * d
    n = x.shape[2] * x.shape[3] - 1
    return torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + e_lambda)) + 0.5) * x


def square(x: Tensor, e_lambda: float) -> Tensor:
    d2 = torch.square(x.mean(HW, keepdim=True) - x)
    v = d2.sum(HW, keepdim=True) / (x.size(2) * x.size(3) - 1)
    return x * torch.sigmoid(0.5 + d2 / ((e_lambda + v) * 4))


def one_line(x: Tensor, e_lambda: float) -> Tensor:
    n = x.size()[2] * x.size()[3] - 1
    mu = (x - x.mean([-1, -2], keepdim=True)) ** 2
    return x * (mu / (4 * (mu.sum([-1, -2], keepdim=True) / n + e_lambda)) + 0.5).sigmoid()


def unbiased_var(x: Tensor, e_lambda: float) -> Tensor:
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    return x * torch.sigmoid(d2 / (4 * (x.var(HW, keepdim=True) + e_lambda)) + 0.5)


def var_then_unsqueeze(x: Tensor, e_lambda: float) -> Tensor:
    mean, var = x.mean(HW), x.var(HW)
    d = x - mean[:, :, None, None]
    return x * torch.sigmoid(d * d / (4 * (var[:, :, None, None] + e_lambda)) + 0.5)


def corrected_mean(x: Tensor, e_lambda: float) -> Tensor:
    count = x.shape[2] * x.shape[3]
    d2 = (x - x.mean(HW, keepdim=True)).square()
    v = d2.mean(HW, keepdim=True) * (count / (count - 1))
    return x * torch.sigmoid(d2 / (4 * v + 4 * e_lambda) + 0.5)


def at_least_one(x: Tensor, e_lambda: float) -> Tensor:
    n = max(x.shape[2] * x.shape[3] - 1, 1)
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    return x * torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + e_lambda)) + 0.5)


def quarter(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    inverse = torch.reciprocal(d2.sum(HW, keepdim=True) / n + e_lambda)
    return x * torch.sigmoid(0.25 * d2 * inverse + 0.5)


def over_four(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    return x * torch.sigmoid(d2 / (d2.sum(HW, keepdim=True) / n + e_lambda) / 4 + 0.5)


def standardised_half(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d = x - x.mean(HW, keepdim=True)
    z = d / torch.sqrt((d * d).sum(HW, keepdim=True) / n + e_lambda) * 0.5
    return x * torch.sigmoid(z * z + 0.5)


def global_pool(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - functional.adaptive_avg_pool2d(x, 1)).pow(2)
    return x * torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + e_lambda)) + 0.5)


def expanded_mean(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True).expand_as(x)).pow(2)
    v = (d2.sum(HW, keepdim=True) / n).expand_as(x)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def flattened_all(x: Tensor, e_lambda: float) -> Tensor:
    flat = x.flatten(2)
    d2 = (flat - flat.mean(-1, keepdim=True)).pow(2)
    v = d2.sum(-1, keepdim=True) / (x.shape[2] * x.shape[3] - 1)
    return (flat * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)).view(x.shape)


def flattened_gate(x: Tensor, e_lambda: float) -> Tensor:
    b, c, h, w = x.shape
    flat = x.reshape(b, c, -1)
    d2 = (flat - flat.mean(2, keepdim=True)) ** 2
    v = d2.sum(2, keepdim=True) / (h * w - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5).reshape(b, c, h, w)


def flattened_statistics(x: Tensor, e_lambda: float) -> Tensor:
    b, c, h, w = x.shape
    d2 = (x - x.view(b, c, -1).mean(-1).view(b, c, 1, 1)) ** 2
    v = d2.view(b, c, -1).sum(-1).view(b, c, 1, 1) / (h * w - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def float_island(x: Tensor, e_lambda: float) -> Tensor:
    return official(x.float(), e_lambda).to(x.dtype)


def float_gate(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    wide = x.float()
    d2 = (wide - wide.mean(HW, keepdim=True)).pow(2)
    gate = torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + e_lambda)) + 0.5)
    return x * gate.to(x.dtype)


def double_sum(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    v = (d2.double().sum(HW, keepdim=True) / n).to(x.dtype)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def half_island(x: Tensor, e_lambda: float) -> Tensor:
    return official(x.half(), e_lambda).to(x.dtype)


def half_energy(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True)).pow(2).half()
    energy = d2 / (4 * (d2.sum(HW, keepdim=True) / n + e_lambda)) + 0.5
    return x * torch.sigmoid(energy).to(x.dtype)


def lone_gate(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    return torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + e_lambda)) + 0.5)


def gate_returned(x: Tensor, e_lambda: float) -> Tensor:
    return x + x * lone_gate(x, e_lambda)


def tiles(x: Tensor, e_lambda: float) -> Tensor:
    h, w = x.shape[2] // 2, x.shape[3] // 2
    rows = [
        torch.cat([official(x[:, :, a, b], e_lambda) for b in (slice(w), slice(w, None))], 3)
        for a in (slice(h), slice(h, None))
    ]
    return torch.cat(rows, 2)


def twice_in_a_row(x: Tensor, e_lambda: float) -> Tensor:
    return official(official(x, e_lambda), e_lambda)


def in_one_dimension(x: Tensor, e_lambda: float) -> Tensor:
    x = x.amax(3)
    d2 = (x - x.mean(2, keepdim=True)).pow(2)
    v = d2.sum(2, keepdim=True) / (x.shape[2] - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def in_three_dimensions(x: Tensor, e_lambda: float) -> Tensor:
    x = torch.stack([x, -x], 2)
    d2 = (x - x.mean((2, 3, 4), keepdim=True)).pow(2)
    v = d2.sum((2, 3, 4), keepdim=True) / (x.shape[2] * x.shape[3] * x.shape[4] - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def biased(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3]
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    return x * torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + e_lambda)) + 0.5)


def biased_var(x: Tensor, e_lambda: float) -> Tensor:
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    return x * torch.sigmoid(d2 / (4 * (x.var(HW, False, keepdim=True) + e_lambda)) + 0.5)


def mean_of_squares(x: Tensor, e_lambda: float) -> Tensor:
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    return x * torch.sigmoid(d2 / (4 * (d2.mean(HW, keepdim=True) + e_lambda)) + 0.5)


def n_less_two(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 2
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    return x * torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + e_lambda)) + 0.5)


def n_of_squares(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[3] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    return x * torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + e_lambda)) + 0.5)


def _official(
    x: Tensor,
    e_lambda: float,
    factor: float = 4.0,
    summand: float = 0.5,
    axes: tuple[int, ...] = HW,
    sum_axes: tuple[int, ...] | None = None,
    activation: Callable[[Tensor], Tensor] = torch.sigmoid,
) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(axes, keepdim=True)).pow(2)
    v = d2.sum(sum_axes or axes, keepdim=True) / n
    return x * activation(d2 / (factor * (v + e_lambda)) + summand)


def plus_one(x: Tensor, e_lambda: float) -> Tensor:
    return _official(x, e_lambda, summand=1.0)


def plus_nothing(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    return x * torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + e_lambda)))


def times_two(x: Tensor, e_lambda: float) -> Tensor:
    return _official(x, e_lambda, factor=2.0)


def all_but_n(x: Tensor, e_lambda: float) -> Tensor:
    return _official(x, e_lambda, axes=(1, 2, 3))


def rows_only(x: Tensor, e_lambda: float) -> Tensor:
    return _official(x, e_lambda, axes=(3,))


def channels_and_rows(x: Tensor, e_lambda: float) -> Tensor:
    return _official(x, e_lambda, axes=(1, 2))


def wider_sum(x: Tensor, e_lambda: float) -> Tensor:
    return _official(x, e_lambda, sum_axes=(1, 2, 3))


def tanh_gate(x: Tensor, e_lambda: float) -> Tensor:
    return _official(x, e_lambda, activation=torch.tanh)


def hard_gate(x: Tensor, e_lambda: float) -> Tensor:
    return _official(x, e_lambda, activation=functional.hardsigmoid)


def silu_gate(x: Tensor, e_lambda: float) -> Tensor:
    return _official(x, e_lambda, activation=functional.silu)


def below_zero(x: Tensor, e_lambda: float) -> Tensor:
    return _official(x, -e_lambda)


def lambda_of_channel(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    per_channel = e_lambda * torch.arange(1, 4, dtype=x.dtype).reshape(1, 3, 1, 1)
    return x * torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + per_channel)) + 0.5)


def lambda_of_data(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    from_data = e_lambda * x.amax(HW, keepdim=True)
    return x * torch.sigmoid(d2 / (4 * (d2.sum(HW, keepdim=True) / n + from_data)) + 0.5)


def z_score(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d = x - x.mean(HW, keepdim=True)
    v = (d * d).sum(HW, keepdim=True) / n
    return x * torch.sigmoid(d / torch.sqrt(v + e_lambda) + 0.5)


def summed_numerator(x: Tensor, e_lambda: float) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    s = (x - x.mean(HW, keepdim=True)).pow(2).sum(HW, keepdim=True)
    return x * torch.sigmoid(s / (4 * (s / n + e_lambda)) + 0.5)


def others_gate(x: Tensor, e_lambda: float) -> Tensor:
    return x.abs() * lone_gate(x, e_lambda)


def others_variance(x: Tensor, e_lambda: float) -> Tensor:
    other = x.abs()
    n = x.shape[2] * x.shape[3] - 1
    d2 = (x - x.mean(HW, keepdim=True)).pow(2)
    v = (other - other.mean(HW, keepdim=True)).pow(2).sum(HW, keepdim=True) / n
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def swish(x: Tensor, e_lambda: float) -> Tensor:
    return x * torch.sigmoid(x) * e_lambda


def squeeze_excite(x: Tensor, e_lambda: float) -> Tensor:
    squeezed = functional.relu(x.mean(HW, keepdim=True) * 0.3 + e_lambda)
    return x * torch.sigmoid(squeezed)


def swish_of_norm(x: Tensor, e_lambda: float) -> Tensor:
    return functional.silu(functional.instance_norm(x, eps=e_lambda))


VARIANTS = (
    Variant("official", official, 1e-4),
    Variant("product_of_d", product_of_d, 0.1),
    Variant("square", square, 0.25),
    Variant("one_line", one_line, 1e-4),
    Variant("unbiased_var", unbiased_var, 1e-3, form="var"),
    Variant("var_then_unsqueeze", var_then_unsqueeze, 0.05, form="var"),
    Variant("corrected_mean", corrected_mean, 0.07, form="var"),
    Variant("at_least_one", at_least_one, 4.0),
    Variant("quarter", quarter, 0.3),
    Variant("over_four", over_four, 256.0),
    Variant("standardised_half", standardised_half, 0.02),
    Variant("global_pool", global_pool, 0.1),
    Variant("expanded_mean", expanded_mean, 0.1),
    Variant("flattened_all", flattened_all, 0.1, form="flattened"),
    Variant("flattened_gate", flattened_gate, 0.2, form="flattened"),
    Variant("flattened_statistics", flattened_statistics, 0.1, form="flattened"),
    Variant("float_island", float_island, 0.1),
    Variant("float_gate", float_gate, 1e-4),
    Variant("double_sum", double_sum, 0.1),
    Variant("half_island", half_island, 0.1),
    Variant("half_energy", half_energy, 0.1),
    Variant("lone_gate", lone_gate, 0.1, gate_only=True),
    Variant("gate_returned", gate_returned, 0.15),
    Variant("tiles", tiles, 0.1, sites=4),
    Variant("twice_in_a_row", twice_in_a_row, 0.1, sites=2),
    Variant("in_one_dimension", in_one_dimension, 0.1),
    Variant("in_three_dimensions", in_three_dimensions, 0.1),
    Variant("biased", biased, 0.1, 0, reason="biased variance (n = H*W, not H*W - 1)"),
    Variant("var_is_biased", biased_var, 0.1, 0, reason="biased variance"),
    Variant("mean_of_squares", mean_of_squares, 0.1, 0, reason="biased variance"),
    Variant("n_less_two", n_less_two, 0.1, 0, reason="not H*W - 1"),
    Variant("n_of_squares", n_of_squares, 0.1, 0, reason="not H*W - 1"),
    Variant("plus_one", plus_one, 0.1, 0, reason="+1.0 instead of +0.5"),
    Variant("plus_nothing", plus_nothing, 0.1, 0, reason="no +0.5"),
    Variant("times_two", times_two, 0.1, 0, reason="coefficient 2 instead of 4"),
    Variant("all_but_n", all_but_n, 0.1, 0, reason="reduces C as well"),
    Variant("rows_only", rows_only, 0.1, 0, reason="reduces only W"),
    Variant("channels_and_rows", channels_and_rows, 0.1, 0, reason="C and H instead of H and W"),
    Variant("wider_sum", wider_sum, 0.1, 0, reason="the sum reduces C as well"),
    Variant("tanh_gate", tanh_gate, 0.1, 0, reason="tanh instead of sigmoid"),
    Variant("hard_gate", hard_gate, 0.1, 0, reason="hardsigmoid instead of sigmoid"),
    Variant("silu_gate", silu_gate, 0.1, 0, reason="silu instead of sigmoid"),
    Variant("below_zero", below_zero, 0.1, 0, reason="negative lambda (-0.1)"),
    Variant("lambda_of_channel", lambda_of_channel, 0.1, 0, reason="lambda is not one constant"),
    Variant("lambda_of_data", lambda_of_data, 0.1, 0, reason="lambda is not one constant"),
    Variant("z_score", z_score, 0.1, 0, reason="(x - mean) / sqrt(v + lambda) instead of"),
    Variant("summed_numerator", summed_numerator, 0.1, 0, reason="a sum instead of d^2"),
    Variant("others_gate", others_gate, 0.1, 0, reason="gate of another tensor"),
    Variant("others_variance", others_variance, 0.1, 0, reason="variance of another tensor"),
    Variant("swish", swish, 0.1, 0),
    Variant("squeeze_excite", squeeze_excite, 0.1, 0),
    Variant("norm_swished", swish_of_norm, 0.1, 0),
)
