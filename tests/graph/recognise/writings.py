"""SimAM written with care, by another formula or in another layout, and what only looks so.

`variants` holds the arrangements of the authors' own formula.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tests.graph.recognise.variants import HW, Variant


def pixels(x: Tensor) -> int:
    return x.shape[2] * x.shape[3]


def squares(x: Tensor) -> Tensor:
    return (x - x.mean(HW, keepdim=True)).pow(2)


def variance(x: Tensor) -> Tensor:
    return squares(x).sum(HW, keepdim=True) / (pixels(x) - 1)


def gated(x: Tensor, v: Tensor, e_lambda: float) -> Tensor:
    return x * torch.sigmoid(squares(x) / (4 * (v + e_lambda)) + 0.5)


def energy(x: Tensor, e_lambda: float) -> Tensor:
    return squares(x) / (4 * (variance(x) + e_lambda)) + 0.5


def clamped_denominator(x: Tensor, e_lambda: float) -> Tensor:
    denominator = (4 * (variance(x) + e_lambda)).clamp(min=1e-6)
    return x * torch.sigmoid(squares(x) / denominator + 0.5)


def clamped_variance(x: Tensor, e_lambda: float) -> Tensor:
    return gated(x, variance(x).clamp(min=0), e_lambda)


def rectified_variance(x: Tensor, e_lambda: float) -> Tensor:
    return gated(x, torch.relu(variance(x)), e_lambda)


def largest_of_variance(x: Tensor, e_lambda: float) -> Tensor:
    v = variance(x)
    return gated(x, torch.maximum(v, torch.zeros_like(v)), e_lambda)


def clamped_energy(x: Tensor, e_lambda: float) -> Tensor:
    return x * torch.sigmoid(energy(x, e_lambda).clamp(min=0))


def numbers_only(x: Tensor, e_lambda: float) -> Tensor:
    quotient = squares(x) / (4 * (variance(x) + e_lambda))
    return x * torch.sigmoid(torch.nan_to_num(quotient) + 0.5)


def gate_of_numbers(x: Tensor, e_lambda: float) -> Tensor:
    return x * torch.nan_to_num(torch.sigmoid(energy(x, e_lambda)), nan=0.5, posinf=1.0)


def moments(x: Tensor, e_lambda: float) -> Tensor:
    m = pixels(x)
    biased = x.pow(2).mean(HW, keepdim=True) - x.mean(HW, keepdim=True).pow(2)
    return gated(x, biased * m / (m - 1), e_lambda)


def sums_of_powers(x: Tensor, e_lambda: float) -> Tensor:
    m = pixels(x)
    total = x.sum(HW, keepdim=True)
    v = ((x * x).sum(HW, keepdim=True) - total * total / m) / (m - 1)
    return gated(x, v.clamp(min=0), e_lambda)


def logistic(x: Tensor, e_lambda: float) -> Tensor:
    return x * (1 / (1 + torch.exp(-energy(x, e_lambda))))


def over_one_and_exp(x: Tensor, e_lambda: float) -> Tensor:
    return x / (1 + torch.exp(-energy(x, e_lambda)))


def exp_over_exp(x: Tensor, e_lambda: float) -> Tensor:
    e = torch.exp(energy(x, e_lambda))
    return x * (e / (e + 1))


def half_of_tanh(x: Tensor, e_lambda: float) -> Tensor:
    return x * (0.5 * (1 + torch.tanh(energy(x, e_lambda) / 2)))


def one_minus_sigmoid(x: Tensor, e_lambda: float) -> Tensor:
    return x * (1 - torch.sigmoid(-energy(x, e_lambda)))


def logistic_gate(x: Tensor, e_lambda: float) -> Tensor:
    return torch.reciprocal(1 + torch.exp(-energy(x, e_lambda)))


def exp_of_softplus(x: Tensor, e_lambda: float) -> Tensor:
    return x * torch.exp(-functional.softplus(-energy(x, e_lambda)))


def saturated_energy(x: Tensor, e_lambda: float) -> Tensor:
    """What keeps exp from overflowing, and changes no float32 number of a sigmoid."""
    return x * torch.sigmoid(energy(x, e_lambda).clamp(max=20))


def einsum_variance(x: Tensor, e_lambda: float) -> Tensor:
    d = x - x.mean(HW, keepdim=True)
    v = torch.einsum("nchw,nchw->nc", d, d)[:, :, None, None] / (pixels(x) - 1)
    return x * torch.sigmoid(d**2 / (4 * (v + e_lambda)) + 0.5)


def multiplied_out(x: Tensor, e_lambda: float) -> Tensor:
    m = x.mean(HW, keepdim=True)
    d2 = x**2 - 2 * x * m + m**2
    v = d2.sum(HW, keepdim=True) / (pixels(x) - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def minimal_energy(x: Tensor, e_lambda: float) -> Tensor:
    """Equation (5) of the paper, and sigmoid(1 / e*)."""
    v = variance(x)
    e = 4 * (v + e_lambda) / (squares(x) + 2 * v + 2 * e_lambda)
    return x * torch.sigmoid(1 / e)


def inverse_energy(x: Tensor, e_lambda: float) -> Tensor:
    v = variance(x) + e_lambda
    return x * torch.sigmoid((squares(x) + 2 * v) / (4 * v))


def axis_by_axis(x: Tensor, e_lambda: float) -> Tensor:
    d2 = (x - x.mean(2, keepdim=True).mean(3, keepdim=True)).pow(2)
    v = d2.sum(2, keepdim=True).sum(3, keepdim=True) / (pixels(x) - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def axis_after_axis(x: Tensor, e_lambda: float) -> Tensor:
    d2 = (x - x.mean(3).mean(2)[:, :, None, None]).pow(2)
    v = d2.sum(2).sum(2) / (pixels(x) - 1)
    return x * torch.sigmoid(d2 / (4 * (v[..., None, None] + e_lambda)) + 0.5)


def vector_norm(x: Tensor, e_lambda: float) -> Tensor:
    d = x - x.mean(HW, keepdim=True)
    v = torch.linalg.vector_norm(d, dim=HW, keepdim=True) ** 2 / (pixels(x) - 1)
    return x * torch.sigmoid(d**2 / (4 * (v + e_lambda)) + 0.5)


def flat_norm(x: Tensor, e_lambda: float) -> Tensor:
    d = x - x.mean(HW, keepdim=True)
    v = d.flatten(2).norm(dim=2)[:, :, None, None].square() / (pixels(x) - 1)
    return x * torch.sigmoid(d * d / (4 * (v + e_lambda)) + 0.5)


def standard_deviation(x: Tensor, e_lambda: float) -> Tensor:
    return gated(x, x.std(HW, keepdim=True) ** 2, e_lambda)


def absolute_difference(x: Tensor, e_lambda: float) -> Tensor:
    d = (x - x.mean(HW, keepdim=True)).abs()
    v = (d**2).sum(HW, keepdim=True) / (pixels(x) - 1)
    return x * torch.sigmoid(d**2 / (4 * (v + e_lambda)) + 0.5)


def exp_of_a_number(x: Tensor, e_lambda: float) -> Tensor:
    """A lambda that is trained as its logarithm, say."""
    return gated(x, variance(x), torch.exp(torch.full((1,), math.log(e_lambda), dtype=x.dtype)))


def channels_last(x: Tensor, e_lambda: float) -> Tensor:
    x = x.permute(0, 2, 3, 1)
    d2 = (x - x.mean((1, 2), keepdim=True)).pow(2)
    v = d2.sum((1, 2), keepdim=True) / (x.shape[1] * x.shape[2] - 1)
    return (x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)).permute(0, 3, 1, 2)


def channels_stay_last(x: Tensor, e_lambda: float) -> Tensor:
    x = torch.relu(x.permute(0, 2, 3, 1))
    d2 = (x - x.mean((1, 2), keepdim=True)).pow(2)
    v = d2.sum((1, 2), keepdim=True) / (x.shape[1] * x.shape[2] - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def gate_of_channels_last(x: Tensor, e_lambda: float) -> Tensor:
    t = x.permute(0, 2, 3, 1)
    d2 = (t - t.mean((1, 2), keepdim=True)).pow(2)
    v = d2.sum((1, 2), keepdim=True) / (t.shape[1] * t.shape[2] - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5).permute(0, 3, 1, 2)


def tokens(x: Tensor, e_lambda: float) -> Tensor:
    x = x.flatten(2).transpose(1, 2)
    d2 = (x - x.mean(1, keepdim=True)).pow(2)
    v = d2.sum(1, keepdim=True) / (x.shape[1] - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def gate_of_tokens(x: Tensor, e_lambda: float) -> Tensor:
    t = x.flatten(2).transpose(1, 2)
    d2 = (t - t.mean(1, keepdim=True)).pow(2)
    gate = torch.sigmoid(d2 / (4 * (d2.sum(1, keepdim=True) / (t.shape[1] - 1) + e_lambda)) + 0.5)
    return x * gate.transpose(1, 2).view(x.shape)


def behind_instance_norm(x: Tensor, e_lambda: float) -> Tensor:
    x = functional.instance_norm(x)
    return gated(x, variance(x), e_lambda)


# Not SimAM.


def clamp_that_binds(x: Tensor, e_lambda: float) -> Tensor:
    return gated(x, variance(x).clamp(min=1e-3), e_lambda)


def denominator_that_binds(x: Tensor, e_lambda: float) -> Tensor:
    denominator = (4 * (variance(x) + e_lambda)).clamp(min=8 * e_lambda)
    return x * torch.sigmoid(squares(x) / denominator + 0.5)


def variance_below(x: Tensor, e_lambda: float) -> Tensor:
    return gated(x, variance(x).clamp(min=0, max=10), e_lambda)


def energy_below(x: Tensor, e_lambda: float) -> Tensor:
    return x * torch.sigmoid(energy(x, e_lambda).clamp(max=1))


def finite_changed(x: Tensor, e_lambda: float) -> Tensor:
    v = variance(x)
    return gated(x, torch.where(v > 5, torch.zeros_like(v), v), e_lambda)


def biased_moments(x: Tensor, e_lambda: float) -> Tensor:
    v = x.pow(2).mean(HW, keepdim=True) - x.mean(HW, keepdim=True).pow(2)
    return gated(x, v, e_lambda)


def moments_about_half(x: Tensor, e_lambda: float) -> Tensor:
    m = pixels(x)
    v = x.pow(2).mean(HW, keepdim=True) - 0.5 * x.mean(HW, keepdim=True).pow(2)
    return gated(x, v * m / (m - 1), e_lambda)


def exp_of_data(x: Tensor, e_lambda: float) -> Tensor:
    return gated(x, variance(x), e_lambda * torch.exp(x.amax(HW, keepdim=True)))


def softplus_of_data(x: Tensor, e_lambda: float) -> Tensor:
    return gated(x, variance(x), e_lambda * functional.softplus(x.amax(HW, keepdim=True)))


def over_one_and_rising_exp(x: Tensor, e_lambda: float) -> Tensor:
    return x / (1 + torch.exp(energy(x, e_lambda)))


def over_two_and_exp(x: Tensor, e_lambda: float) -> Tensor:
    return x / (2 + torch.exp(-energy(x, e_lambda)))


def energy_itself(x: Tensor, e_lambda: float) -> Tensor:
    v = variance(x)
    e = 4 * (v + e_lambda) / (squares(x) + 2 * v + 2 * e_lambda)
    return x * torch.sigmoid(e)


def energy_of_others(x: Tensor, e_lambda: float) -> Tensor:
    v = variance(x)
    e = 4 * (v + e_lambda) / (squares(x) + v + e_lambda)
    return x * torch.sigmoid(1 / e)


def energy_of_two_lambdas(x: Tensor, e_lambda: float) -> Tensor:
    v = variance(x)
    e = 4 * (v + e_lambda) / (squares(x) + 2 * v + 3 * e_lambda)
    return x * torch.sigmoid(1 / e)


def softmax_of_two(x: Tensor, e_lambda: float) -> Tensor:
    """It is the sigmoid, and is told by name only."""
    e = energy(x, e_lambda)
    return x * torch.softmax(torch.stack([e, torch.zeros_like(e)]), 0)[0]


def norm_of_x(x: Tensor, e_lambda: float) -> Tensor:
    v = torch.linalg.vector_norm(x, dim=HW, keepdim=True) ** 2 / (pixels(x) - 1)
    return gated(x, v, e_lambda)


def norm_one(x: Tensor, e_lambda: float) -> Tensor:
    d = x - x.mean(HW, keepdim=True)
    v = torch.linalg.vector_norm(d, ord=1, dim=HW, keepdim=True) ** 2 / (pixels(x) - 1)
    return gated(x, v, e_lambda)


def last_axis_of_channels_last(x: Tensor, e_lambda: float) -> Tensor:
    x = x.permute(0, 2, 3, 1)
    d2 = (x - x.mean(3, keepdim=True)).pow(2)
    v = d2.sum(3, keepdim=True) / (x.shape[3] - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def channels_of_tokens(x: Tensor, e_lambda: float) -> Tensor:
    x = x.flatten(2).transpose(1, 2)
    d2 = (x - x.mean(2, keepdim=True)).pow(2)
    v = d2.sum(2, keepdim=True) / (x.shape[2] - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


def biased_tokens(x: Tensor, e_lambda: float) -> Tensor:
    x = x.flatten(2).transpose(1, 2)
    d2 = (x - x.mean(1, keepdim=True)).pow(2)
    return x * torch.sigmoid(d2 / (4 * (d2.mean(1, keepdim=True) + e_lambda)) + 0.5)


WRITINGS = (
    Variant("clamped_denominator", clamped_denominator, 0.1),
    Variant("clamped_variance", clamped_variance, 0.1),
    Variant("rectified_variance", rectified_variance, 0.1),
    Variant("largest_of_variance", largest_of_variance, 0.1),
    Variant("clamped_energy", clamped_energy, 0.1),
    Variant("numbers_only", numbers_only, 0.1),
    Variant("gate_of_numbers", gate_of_numbers, 0.1),
    Variant("moments", moments, 0.1, form="moments"),
    Variant("sums_of_powers", sums_of_powers, 0.1, form="moments"),
    Variant("logistic", logistic, 0.1),
    Variant("over_one_and_exp", over_one_and_exp, 0.1),
    Variant("exp_over_exp", exp_over_exp, 0.1),
    Variant("half_of_tanh", half_of_tanh, 0.1),
    Variant("one_minus_sigmoid", one_minus_sigmoid, 0.1),
    Variant("logistic_gate", logistic_gate, 0.1, gate_only=True),
    Variant("exp_of_softplus", exp_of_softplus, 0.1),
    Variant("saturated_energy", saturated_energy, 0.1),
    Variant("multiplied_out", multiplied_out, 0.1, form="moments"),
    Variant("minimal_energy", minimal_energy, 0.1),
    Variant("inverse_energy", inverse_energy, 0.1),
    Variant("axis_by_axis", axis_by_axis, 0.1),
    Variant("axis_after_axis", axis_after_axis, 0.1),
    Variant("vector_norm", vector_norm, 0.1),
    Variant("flat_norm", flat_norm, 0.1, form="flattened"),
    Variant("standard_deviation", standard_deviation, 0.1, form="var"),
    Variant("absolute_difference", absolute_difference, 0.1),
    Variant("exp_of_a_number", exp_of_a_number, 1.0),
    Variant("channels_last", channels_last, 0.1),
    Variant("channels_stay_last", channels_stay_last, 0.1),
    Variant("gate_of_channels_last", gate_of_channels_last, 0.1),
    Variant("tokens", tokens, 0.1),
    Variant("gate_of_tokens", gate_of_tokens, 0.1),
    Variant("behind_instance_norm", behind_instance_norm, 0.1),
    Variant(
        "clamp_that_binds",
        clamp_that_binds,
        0.1,
        0,
        reason="which binds",
    ),
    Variant(
        "denominator_that_binds",
        denominator_that_binds,
        0.1,
        0,
        reason="which binds",
    ),
    Variant("variance_below", variance_below, 0.1, 0, reason="a bound on the variance"),
    Variant("energy_below", energy_below, 0.1, 0, reason="before sigmoid"),
    Variant("finite_changed", finite_changed, 0.1, 0, reason="Where of the variance"),
    Variant("biased_moments", biased_moments, 0.1, 0, reason="biased variance"),
    Variant(
        "moments_about_half",
        moments_about_half,
        0.1,
        0,
        reason="E[x^2] and E[x]^2",
    ),
    Variant("exp_of_data", exp_of_data, 0.1, 0, reason="lambda is not one constant"),
    Variant("softplus_of_data", softplus_of_data, 0.1, 0, reason="lambda is not one constant"),
    Variant("over_one_and_rising_exp", over_one_and_rising_exp, 0.1, 0, reason="-0.5 instead"),
    Variant("over_two_and_exp", over_two_and_exp, 0.1, 0, reason="exp instead of sigmoid"),
    Variant("energy_itself", energy_itself, 0.1, 0, reason="e* itself instead of 1 / e*"),
    Variant("energy_of_others", energy_of_others, 0.1, 0, reason="+0.25 instead of +0.5"),
    Variant(
        "energy_of_two_lambdas",
        energy_of_two_lambdas,
        0.1,
        0,
        reason="not that of the denominator",
    ),
    Variant("softmax_of_two", softmax_of_two, 0.1, 0, reason="of the energy before softmax"),
    Variant("norm_of_x", norm_of_x, 0.1, 0, reason="not divided by a variance"),
    Variant("norm_one", norm_one, 0.1, 0, reason="not divided by a variance"),
    Variant(
        "last_axis_of_channels_last",
        last_axis_of_channels_last,
        0.1,
        0,
        reason="reduces C instead of",
    ),
    Variant("channels_of_tokens", channels_of_tokens, 0.1, 0, reason="reduces C instead of L"),
    Variant("biased_tokens", biased_tokens, 0.1, 0, reason="biased variance (n = L, not L - 1)"),
)
