"""Small networks with SimAM, of the kinds that people convert; seeded, settled, in eval mode."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.precision.half.attention_networks import (
    added_mask,
    attention,
    layer_scale,
    masked_attention,
    rms_norm,
)
from tests.precision.half.blocks import Apply, Gate, conv, head


def classifier() -> nn.Module:
    return head(nn.Sequential(conv(3, 8, 2), conv(8, 16)))


def segmenter() -> nn.Module:
    return nn.Sequential(conv(3, 8), conv(8, 8), nn.Conv2d(8, 2, 1))


def unet() -> nn.Module:
    def forward(self: Apply, x: Tensor) -> Tensor:
        a = self.down1(x)
        b = self.down2(functional.max_pool2d(a, 2))
        c = self.up(b)
        return self.out(self.last(torch.cat([a, c], 1)))

    return Apply(
        forward, down1=conv(3, 8), down2=conv(8, 16), up=nn.ConvTranspose2d(16, 8, 2, 2),
        last=conv(16, 8), out=nn.Conv2d(8, 3, 1),
    )  # fmt: skip


def decoder() -> nn.Module:
    return nn.Sequential(
        conv(3, 16, 2), conv(16, 16, 2), nn.ConvTranspose2d(16, 8, 4, 2, 1), Gate(),
        nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


def detector() -> nn.Module:
    """One output: boxes in pixels beside scores."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        y = self.body(x).flatten(2)
        return torch.cat([y[:, :4].sigmoid() * 640, y[:, 4:].sigmoid()], 1)

    body = nn.Sequential(conv(3, 8, 2), conv(8, 16, 2), conv(16, 16, 2), nn.Conv2d(16, 10, 1))
    return Apply(forward, body=body)


def detector_of_three() -> nn.Module:
    """Three raw maps, as of YOLO."""

    def forward(self: Apply, x: Tensor) -> list[Tensor]:
        a = self.a(x)
        b = self.b(a)
        c = self.c(b)
        up = self.mix(torch.cat([b, functional.interpolate(c, scale_factor=2.0)], 1))
        return [self.one(a), self.two(up), self.three(c)]

    heads = {k: nn.Conv2d(c, 9, 1) for k, c in (("one", 8), ("two", 16), ("three", 32))}
    parts = {"a": conv(3, 8, 4), "b": conv(8, 16, 2), "c": conv(16, 32, 2), "mix": conv(48, 16)}
    return Apply(forward, **parts, **heads)


def decoded() -> nn.Module:
    """Distances as expectations of a Softmax, put on a grid of cells and scaled by the stride."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        y = self.body(x).flatten(2)
        d = y[:, :32].reshape(-1, 4, 8, y.shape[2]).softmax(2)
        sides = (d * self.bins).sum(2)
        low, high = self.grid - sides[:, :2], self.grid + sides[:, 2:]
        return torch.cat([(low + high) / 2 * 8, (high - low) * 8, y[:, 32:].sigmoid()], 1)

    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    body = nn.Sequential(conv(3, 16, 4), conv(16, 16, 2), nn.Conv2d(16, 36, 1))
    grid = torch.stack([columns.flatten(), rows.flatten()])[None] + 0.5
    return Apply(forward, body=body, grid=grid, bins=torch.arange(8.0).view(1, 1, 8, 1))


def depthwise() -> nn.Module:
    def block(c: int) -> nn.Module:
        return nn.Sequential(
            conv(c, c, groups=c), nn.Conv2d(c, c, 1), nn.BatchNorm2d(c), nn.ReLU6()
        )

    return head(nn.Sequential(conv(3, 16, 2, nn.Hardswish()), block(16), block(16)))


def residual() -> nn.Module:
    def forward(self: Apply, x: Tensor) -> Tensor:
        y = self.stem(x)
        for block in (self.first, self.second):
            y = functional.relu(y + block(y))
        return y

    body = Apply(forward, stem=conv(3, 16, 2), first=conv(16, 16), second=conv(16, 16))
    return head(body)


def group_norm() -> nn.Module:
    def block(i: int, o: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(i, o, 3, 2, 1), Gate(), nn.GroupNorm(4, o), nn.GELU())

    return head(nn.Sequential(block(3, 8), block(8, 16)))


def instance_norm() -> nn.Module:
    norm = nn.InstanceNorm2d(8, affine=True)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), Gate(), norm, nn.PReLU(8), nn.Conv2d(8, 3, 1))


def normalised() -> nn.Module:
    """An embedding of length 1, with the epsilon that is the default of functional.normalize."""
    return Apply(lambda s, x: functional.normalize(s.body(x)), body=classifier())


def cosine() -> nn.Module:
    """Cosines to class centres, scaled, as face recognition has them."""
    centres = functional.normalize(torch.randn(10, 16))
    body = head(nn.Sequential(conv(3, 8, 2), conv(8, 16)), classes=16)
    return Apply(
        lambda s, x: 30 * functional.linear(functional.normalize(s.body(x)), s.centres),
        body=body,
        centres=centres,
    )


def normalised_maps() -> nn.Module:
    """Each pixel's features brought to length 1."""
    body = nn.Sequential(conv(3, 8, 2), nn.Conv2d(8, 8, 1))
    return Apply(lambda s, x: functional.normalize(s.body(x), dim=1, eps=1e-10), body=body)


def standardised() -> nn.Module:
    """Mean and deviation of every channel, pooled."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        y = self.body(x).flatten(2)
        deviation = torch.sqrt(y.var(2, unbiased=False) + 1e-9)
        return self.last(torch.cat([y.mean(2), deviation], 1))

    return Apply(forward, body=nn.Sequential(conv(3, 8, 2), conv(8, 16)), last=nn.Linear(32, 8))


def logits() -> nn.Module:
    """Log-odds of clipped probabilities."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        p = self.body(x).sigmoid().clamp(1e-9, 1)
        return torch.log(p + 1e-12)

    return Apply(forward, body=classifier())


def padded() -> nn.Module:
    """Pad and bias as nodes of their own, and a classifier of plain products."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        y = self.gate(self.first(functional.pad(x, (1, 1, 1, 1))) + self.bias)
        y = functional.relu(self.second(functional.pad(y, (0, 1, 0, 1)))).mean((2, 3))
        return torch.cat([y @ self.w + self.k, y @ self.w.t()], 1)

    return Apply(
        forward, gate=Gate(), first=nn.Conv2d(3, 8, 3, bias=False), second=nn.Conv2d(8, 8, 3, 2),
        bias=torch.randn(1, 8, 1, 1), w=torch.randn(8, 8), k=torch.randn(8),
    )  # fmt: skip


def equal_biases() -> nn.Module:
    """TorchScript stores equal ones once and hands out Identities."""
    first, second, last = nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 8, 2, 2), nn.Linear(8, 8)
    with torch.no_grad():
        second.bias.copy_(first.bias)
        last.bias.copy_(first.bias)
    norm = nn.BatchNorm2d(8)
    return head(nn.Sequential(first, Gate(), second, norm, nn.ReLU()), 8, 8).append(last)


def squeeze_excite() -> nn.Module:
    def forward(self: Apply, x: Tensor) -> Tensor:
        y = self.body(x)
        return y * self.up(functional.relu(self.down(y.mean((2, 3), keepdim=True)))).sigmoid()

    parts = {"down": nn.Conv2d(16, 4, 1), "up": nn.Conv2d(4, 16, 1)}
    return head(Apply(forward, body=nn.Sequential(conv(3, 16, 2), conv(16, 16)), **parts))


def shuffled() -> nn.Module:
    """Channels split, shuffled and joined."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        a, b = self.stem(x).chunk(2, 1)
        y = torch.cat([a, self.right(b)], 1)
        n, c, h, w = y.shape
        return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)

    return head(Apply(forward, stem=conv(3, 16, 2), right=conv(8, 8, act=nn.LeakyReLU(0.1))))


def pyramid() -> nn.Module:
    """Dilated branches, resized and summed."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        y = self.stem(x)
        small = functional.interpolate(self.deep(y), scale_factor=2.0, mode="bilinear")
        return self.out(self.near(y) + self.far(y) + small)

    return Apply(
        forward, stem=conv(3, 8, 2), deep=conv(8, 8, 2), near=conv(8, 8),
        far=conv(8, 8, padding=3, dilation=3), out=nn.Conv2d(8, 4, 1),
    )  # fmt: skip


def superresolution() -> nn.Module:
    """Pixel shuffle, with the picture added, in the range of 0 to 255."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2.0) + 255 * self.body(x)

    body = nn.Sequential(conv(3, 16), nn.Conv2d(16, 12, 3, 1, 1), nn.PixelShuffle(2))
    return Apply(forward, body=body)


def far_grid() -> nn.Module:
    """Positions of a map that is 1e5 units away, relative to its corner."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        y = self.body(x).flatten(2)
        return (self.grid + y) - self.corner

    body = nn.Sequential(conv(3, 8, 4), nn.Conv2d(8, 2, 1))
    grid = 1e5 + torch.arange(256.0)
    return Apply(forward, body=body, grid=grid, corner=torch.tensor(1e5))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    f.__name__: f
    for f in (
        classifier, segmenter, unet, decoder, detector, detector_of_three, decoded, depthwise,
        residual, group_norm, instance_norm, attention, masked_attention, added_mask, rms_norm,
        layer_scale, normalised, cosine, normalised_maps, standardised, logits, padded,
        equal_biases, squeeze_excite, shuffled, pyramid, superresolution, far_grid,
    )
}  # fmt: skip


def settled(name: str, size: int = 64) -> nn.Module:
    """Make a network of seeded weights."""
    torch.manual_seed(sum(map(ord, name)))
    return settle(NETWORKS[name](), size)


def settle(net: nn.Module, size: int) -> nn.Module:
    """Measure batch statistics on drawn pictures, as training would."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        net.train()(torch.randn(8, 3, size, size))
    return net.eval()


def dark() -> nn.Module:
    """An embedding that is zero of a black frame, before and after it is brought to length 1."""

    def forward(self: Apply, x: Tensor) -> Tensor:
        lit = (x.abs().amax((1, 2, 3)) > 0)[:, None]
        return functional.normalize(functional.relu(self.body(x) * lit), eps=1e-12)

    return settle(Apply(forward, body=settled("classifier")), 64)
