"""Each module against its formula, written out with plain numpy in float64, a value at a time."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from simam_deploy.models.attention.bam import BAM
from simam_deploy.models.attention.cbam import CBAM
from simam_deploy.models.attention.eca import ECA, kernel_of
from simam_deploy.models.attention.gc import GC
from simam_deploy.models.attention.se import SE
from simam_deploy.models.attention.srm import SRM

N, C, H, W = 2, 6, 5, 7
PIXELS = list(itertools.product(range(H), range(W)))


def drawn(module: nn.Module) -> dict[str, np.ndarray]:
    """Fill a module's tensors with numbers of the size that training leaves; variances above 0."""
    rng = np.random.default_rng(7)
    state = {
        key: torch.from_numpy(np.asarray(rng.standard_normal(tuple(t.shape)), np.float64))
        for key, t in module.state_dict().items()
        if t.is_floating_point()
    }
    state |= {key: t.abs() + 0.5 for key, t in state.items() if key.endswith("running_var")}
    module.double().load_state_dict(state, strict=False)
    module.eval()
    return {key: t.numpy() for key, t in state.items()}


def maps() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((N, C, H, W)) * 2 + 0.5


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def normed(x: float, channel: int, bn: str, w: dict[str, np.ndarray]) -> float:
    shifted = (x - w[f"{bn}.running_mean"][channel]) / math.sqrt(
        w[f"{bn}.running_var"][channel] + 1e-5
    )
    return float(shifted * w[f"{bn}.weight"][channel] + w[f"{bn}.bias"][channel])


def linear(name: str, v: list[float], w: dict[str, np.ndarray]) -> list[float]:
    rows = w[f"{name}.weight"].reshape(len(w[f"{name}.weight"]), -1)
    bias = w.get(f"{name}.bias", np.zeros(len(rows)))
    return [
        sum(a * b for a, b in zip(row, v, strict=True)) + c
        for row, c in zip(rows, bias, strict=True)
    ]


def relu(v: list[float]) -> list[float]:
    return [max(a, 0.0) for a in v]


def mean(values) -> float:
    kept = list(values)
    return math.fsum(kept) / len(kept)


def mean_of(x: np.ndarray, channel: int) -> float:
    return mean(x[channel, i, j] for i, j in PIXELS)


def se(x, w):
    gate = linear("fc.2", relu(linear("fc.0", [mean_of(x, c) for c in range(C)], w)), w)
    return np.stack([x[c] * sigmoid(gate[c]) for c in range(C)])


def mlp(v, w):
    return linear("ChannelGate.mlp.3", relu(linear("ChannelGate.mlp.1", v, w)), w)


def cbam(x, w):
    of_mean = mlp([mean_of(x, c) for c in range(C)], w)
    of_max = mlp([max(x[c, i, j] for i, j in PIXELS) for c in range(C)], w)
    y = np.stack([x[c] * sigmoid(of_mean[c] + of_max[c]) for c in range(C)])
    seen = np.zeros((2, H + 6, W + 6))
    for i, j in PIXELS:
        seen[0, i + 3, j + 3] = max(y[:, i, j])
        seen[1, i + 3, j + 3] = mean(y[:, i, j])
    kernel, out = w["SpatialGate.spatial.conv.weight"][0], y.copy()
    for i, j in PIXELS:
        summed = float((kernel * seen[:, i : i + 7, j : j + 7]).sum())
        out[:, i, j] *= sigmoid(normed(summed, 0, "SpatialGate.spatial.bn", w))
    return out


def eca(x, w):
    kernel = w["conv.weight"][0, 0]
    middle = len(kernel) // 2
    means = [mean_of(x, c) for c in range(C)]
    out = x.copy()
    for c in range(C):
        near = [(k, c + k - middle) for k in range(len(kernel)) if 0 <= c + k - middle < C]
        out[c] *= sigmoid(sum(kernel[k] * means[at] for k, at in near))
    return out


def gc(x, w):
    key = w["conv_mask.weight"].ravel()
    scores = [float(key @ x[:, i, j] + w["conv_mask.bias"][0]) for i, j in PIXELS]
    weights = [math.exp(s) for s in scores]
    context = [
        sum(a * x[c, i, j] for a, (i, j) in zip(weights, PIXELS, strict=True)) / sum(weights)
        for c in range(C)
    ]
    hidden = linear("channel_add_conv.0", context, w)
    centre, spread = mean(hidden), math.sqrt(mean((h - mean(hidden)) ** 2 for h in hidden) + 1e-5)
    scale, shift = w["channel_add_conv.1.weight"].ravel(), w["channel_add_conv.1.bias"].ravel()
    levelled = [(h - centre) / spread * a + b for h, a, b in zip(hidden, scale, shift, strict=True)]
    return x + np.array(linear("channel_add_conv.3", relu(levelled), w))[:, None, None]


def srm(x, w):
    out = x.copy()
    for c in range(C):
        centre = mean_of(x, c)
        variance = sum((x[c, i, j] - centre) ** 2 for i, j in PIXELS) / (H * W - 1)
        deviation = math.sqrt(variance + 1e-5)
        style = w["cfc"][c, 0] * centre + w["cfc"][c, 1] * deviation
        out[c] *= sigmoid(normed(style, c, "bn", w))
    return out


def convolved(x, name, w, dilation):
    """Convolve by one multiplication a tap, of the shifted map; zeros beyond the ends."""
    kernel, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    out = np.repeat(bias[:, None, None], H, 1).repeat(W, 2)
    reach = dilation * (kernel.shape[-1] // 2)
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    for a, b in itertools.product(range(kernel.shape[2]), range(kernel.shape[3])):
        seen = padded[:, a * dilation : a * dilation + H, b * dilation : b * dilation + W]
        out = out + np.tensordot(kernel[:, :, a, b], seen, 1)
    return out


def bam(x, w):
    hidden = linear("channel_att.gate_c.gate_c_fc_0", [mean_of(x, c) for c in range(C)], w)
    bn = "channel_att.gate_c.gate_c_bn_1"
    levelled = relu([normed(h, i, bn, w) for i, h in enumerate(hidden)])
    of_channel = linear("channel_att.gate_c.gate_c_fc_final", levelled, w)
    of_pixel = x
    for step, dilation in (("reduce0", 1), ("di_0", 4), ("di_1", 4)):
        of_pixel = convolved(of_pixel, f"spatial_att.gate_s.gate_s_conv_{step}", w, dilation)
        for k, i, j in np.ndindex(of_pixel.shape):
            value = normed(of_pixel[k, i, j], k, f"spatial_att.gate_s.gate_s_bn_{step}", w)
            of_pixel[k, i, j] = max(value, 0.0)
    of_pixel = convolved(of_pixel, "spatial_att.gate_s.gate_s_conv_final", w, 1)
    out = x.copy()
    for c, i, j in np.ndindex(x.shape):
        out[c, i, j] *= 1 + sigmoid(of_channel[c] * of_pixel[0, i, j])
    return out


FORMULAS = {
    "se": (lambda: SE(C, 2), se),
    "cbam": (lambda: CBAM(C, 2), cbam),
    "eca of 3": (lambda: ECA(3), eca),
    "eca of 5": (lambda: ECA(5), eca),
    "eca of 1": (lambda: ECA(1), eca),
    "gc": (lambda: GC(C, 3), gc),
    "srm": (lambda: SRM(C), srm),
    "bam": (lambda: BAM(C, 2), bam),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_it_computes_its_formula(name: str) -> None:
    make, formula = FORMULAS[name]
    module = make()
    weights = drawn(module)
    x = maps()
    with torch.no_grad():
        got = module(torch.from_numpy(x)).numpy()
    wanted = np.stack([formula(each, weights) for each in x])
    assert np.abs(wanted - x).max() > 0.1  # the module does something
    # Some 400 additions in float64, each to 1.1e-16.
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


# log2(C) / 2 + 1 / 2 is 2.5, 3.5, 4, 4.5, 5 and 6 here.
@pytest.mark.parametrize(
    ("channels", "kernel"), [(16, 3), (64, 3), (128, 5), (256, 5), (512, 5), (2048, 7)]
)
def test_ecas_kernel(channels: int, kernel: int) -> None:
    assert kernel_of(channels) == kernel
