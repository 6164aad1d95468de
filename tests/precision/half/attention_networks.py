"""Small networks with SimAM in front of attention, and such as compute on tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.precision.half.blocks import Apply, conv, head


def tokens(self: Apply, x: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(self.body(x), 4).flatten(2).transpose(1, 2)


def attend(self: Apply, t: Tensor, mask: Tensor | None = None) -> Tensor:
    n = self.norm(t)
    scores = self.q(n) @ self.k(n).transpose(1, 2) / 4
    scores = scores if mask is None else scores.masked_fill(mask, -1e9)
    return t + scores.softmax(-1) @ self.v(n)


def attention_parts(width: int = 16) -> dict[str, nn.Module]:
    layers = {name: nn.Linear(width, width) for name in ("q", "k", "v", "last")}
    body = nn.Sequential(conv(3, width, 2), conv(width, width, 2))
    return {"body": body, "norm": nn.LayerNorm(width), **layers}


def attention() -> nn.Module:
    return Apply(lambda s, x: s.last(attend(s, tokens(s, x)).mean(1)), **attention_parts())


def masked_attention() -> nn.Module:
    mask = torch.ones(16, 16).triu(1).bool()
    parts = attention_parts()
    return Apply(lambda s, x: s.last(attend(s, tokens(s, x), s.mask)[:, -1]), mask=mask, **parts)


def added_mask() -> nn.Module:
    """The mask as a sum, as BERT has it."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        t = tokens(self, x)
        scores = self.q(t) @ self.k(t).transpose(1, 2) / 4 + (1 - self.mask) * -1e9
        return self.last((scores.softmax(-1) @ self.v(t)).mean(1))

    return Apply(forward, mask=torch.ones(16, 16).tril(), **attention_parts())


def rms_norm() -> nn.Module:
    def forward(self: Apply, x: Tensor) -> Tensor:
        t = tokens(self, x)
        t = t * torch.rsqrt(t.pow(2).mean(-1, keepdim=True) + 1e-12) * self.scale
        return self.last(t.mean(1))

    return Apply(forward, scale=torch.rand(16) + 0.5, **attention_parts())


def layer_scale() -> nn.Module:
    """ConvNeXt's, with a scale that is hardly trained."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        y = self.stem(x)
        z = self.norm(self.deep(y).permute(0, 2, 3, 1))
        return y + (self.scale * self.out(functional.gelu(self.wide(z)))).permute(0, 3, 1, 2)

    body = Apply(
        forward, stem=conv(3, 16, 4), deep=nn.Conv2d(16, 16, 7, 1, 3, groups=16),
        norm=nn.LayerNorm(16), wide=nn.Linear(16, 64), out=nn.Linear(64, 16),
        scale=torch.logspace(-9, 0, 16),
    )  # fmt: skip
    return head(body)
