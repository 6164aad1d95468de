"""A small detector of the usual build, trained on drawn squares and discs.

Conv-SimAM-BN-SiLU blocks, partial stages, three scales and separate heads for boxes and scores, at
a few channels: 80 layers, 90,000 weights. One output (N, 4 + classes, cells): boxes (x, y, width,
height) in pixels, scores 0 to 1. `python -m tests.precision.int8.detector` trains it anew, in a
minute or two of one core, and writes `detector.npz` beside this file.
"""

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

CLASSES, STRIDES = ("square", "disc"), (8, 16, 32)
WEIGHTS = Path(__file__).with_suffix(".npz")


class SimAM(nn.Module):
    def forward(self, x):
        n = x.shape[2] * x.shape[3] - 1
        d = (x - x.mean(dim=[2, 3], keepdim=True)).pow(2)
        return x * torch.sigmoid(d / (4 * (d.sum(dim=[2, 3], keepdim=True) / n + 1e-4)) + 0.5)


class Block(nn.Sequential):
    def __init__(self, i, o, k=3, stride=1):
        super().__init__(
            nn.Conv2d(i, o, k, stride, k // 2, bias=False), SimAM(), nn.BatchNorm2d(o), nn.SiLU()
        )


class Bottleneck(nn.Module):
    def __init__(self, c, add):
        super().__init__()
        self.one, self.two, self.add = Block(c, c), Block(c, c), add

    def forward(self, x):
        y = self.two(self.one(x))
        return x + y if self.add else y


class Stage(nn.Module):
    """Half of the channels go through bottlenecks, all that comes by is joined."""

    def __init__(self, i, o, n, add=True):
        super().__init__()
        self.into, self.out = Block(i, o, 1), Block((2 + n) * (o // 2), o, 1)
        self.steps = nn.ModuleList(Bottleneck(o // 2, add) for _ in range(n))

    def forward(self, x):
        parts = list(self.into(x).chunk(2, 1))
        for step in self.steps:
            parts.append(step(parts[-1]))
        return self.out(torch.cat(parts, 1))


class Pooled(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.into, self.out = Block(c, c // 2, 1), Block(2 * c, c, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        parts = [self.into(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.out(torch.cat(parts, 1))


class Head(nn.Module):
    """Boxes and scores of one scale, decoded to pixels: (N, 4 + classes, cells)."""

    def __init__(self, c, stride):
        super().__init__()
        self.stride = stride
        self.box = nn.Sequential(Block(c, 12), Block(12, 12), nn.Conv2d(12, 4, 1))
        self.score = nn.Sequential(Block(c, 12), Block(12, 12), nn.Conv2d(12, len(CLASSES), 1))

    def forward(self, x):
        ys = torch.arange(x.shape[2], dtype=x.dtype, device=x.device)[:, None] + 0.5
        xs = torch.arange(x.shape[3], dtype=x.dtype, device=x.device)[None] + 0.5
        box = self.box(x)
        cx, cy = box[:, 0:1] + xs, box[:, 1:2] + ys
        pixels = torch.cat([cx, cy, 2 * torch.exp(box[:, 2:].clamp(-4, 3))], 1) * self.stride
        return torch.cat([pixels, self.score(x).sigmoid()], 1).flatten(2)


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(Block(3, 8, 3, 2), Block(8, 12, 3, 2), Stage(12, 12, 1))
        self.p3 = nn.Sequential(Block(12, 16, 3, 2), Stage(16, 16, 2))
        self.p4 = nn.Sequential(Block(16, 24, 3, 2), Stage(24, 24, 2))
        self.p5 = nn.Sequential(Block(24, 32, 3, 2), Stage(32, 32, 1), Pooled(32))
        self.up = nn.Upsample(scale_factor=2)
        self.n4, self.n3 = Stage(56, 24, 1, add=False), Stage(40, 16, 1, add=False)
        self.down3, self.m4 = Block(16, 16, 3, 2), Stage(40, 24, 1, add=False)
        self.down4, self.m5 = Block(24, 24, 3, 2), Stage(56, 32, 1, add=False)
        heads = zip((16, 24, 32), STRIDES, strict=True)
        self.heads = nn.ModuleList(Head(c, stride) for c, stride in heads)

    def forward(self, x):
        p3 = self.p3(self.stem(x))
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        n4 = self.n4(torch.cat([self.up(p5), p4], 1))
        n3 = self.n3(torch.cat([self.up(n4), p3], 1))
        m4 = self.m4(torch.cat([self.down3(n3), n4], 1))
        m5 = self.m5(torch.cat([self.down4(m4), p5], 1))
        return torch.cat([h(f) for h, f in zip(self.heads, (n3, m4, m5), strict=True)], 2)


def pictures(seed, count, side):
    """Draw pictures (count, 3, side, side), 0 to 1, and (class, x, y, size) of all in each."""
    rng = np.random.default_rng(seed)
    grid = np.mgrid[:side, :side] + 0.5
    images, truths = [], []
    for _ in range(count):
        slope = rng.uniform(-0.2, 0.2, (3, 2, 1, 1)) / side
        image = rng.uniform(0.1, 0.9, (3, 1, 1)) + (slope * grid).sum(1)
        truth = []
        for _ in range(rng.integers(1, 4)):
            kind, size = int(rng.integers(2)), rng.uniform(0.12, 0.5) * side
            x, y = rng.uniform(size / 2, side - size / 2, 2)
            if any(np.hypot(x - a, y - b) < 0.6 * (size + s) for _, a, b, s in truth):
                continue
            dy, dx = np.abs(grid - np.array([y, x])[:, None, None])
            inside = np.maximum(dx, dy) if kind == 0 else np.hypot(dx, dy)
            color = rng.uniform(0, 1, (3, 1, 1))
            image = np.where(inside < size / 2, color, image)
            truth.append((kind, x, y, size))
        image = image + rng.normal(0, 0.02, image.shape) * rng.uniform(0, 2)
        images.append(np.clip(image, 0, 1))
        truths.append(truth)
    return np.stack(images).astype(np.float32), truths


def cells(side):
    """Centres and strides of all cells, (cells, 3)."""
    rows = []
    for stride in STRIDES:
        n = side // stride
        ys, xs = np.divmod(np.arange(n * n), n)
        rows.append(np.stack([(xs + 0.5) * stride, (ys + 0.5) * stride, 0 * xs + stride], 1))
    return np.concatenate(rows).astype(np.float32)


def targets(truths, side):
    """Give scores (N, classes, cells), and boxes (N, 4, cells) with NaN where there is none."""
    place = cells(side)
    scores = np.zeros((len(truths), len(CLASSES), len(place)), np.float32)
    boxes = np.full((len(truths), 4, len(place)), np.nan, np.float32)
    for n, truth in enumerate(truths):
        for kind, x, y, size in truth:
            stride = STRIDES[int(np.clip(np.log2(size / 16), 0, 2))]
            near = np.hypot(*(place[:, :2] - (x, y)).T) < 1.1 * stride
            near &= place[:, 2] == stride
            scores[n, kind, near] = 1
            boxes[n, :, near] = (x, y, size, size)
    return torch.from_numpy(scores), torch.from_numpy(boxes)


def loss_of(y, scores, boxes):
    p = y[:, 4:].clamp(1e-5, 1 - 1e-5)
    hard = torch.where(scores > 0, (1 - p) ** 1.5 * -torch.log(p), p**1.5 * -torch.log(1 - p))
    there = ~boxes.isnan()
    off = (
        torch.where(there, y[:, :4] - boxes, 0).abs() / torch.where(there, boxes[:, 2:3], 1)
    ).sum()
    return (hard.sum() + 2 * off) / scores.sum()


def train(seconds, seed=0):
    torch.manual_seed(seed)
    net = Detector()
    for head in net.heads:
        nn.init.constant_(head.score[-1].bias, -3.0)
    steps, started, step = 10_000, time.perf_counter(), 0
    optimiser = torch.optim.AdamW(net.parameters(), 4e-3, weight_decay=1e-3)
    while (spent := (time.perf_counter() - started) / seconds) < 1 and step < steps:
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * min(1.0, step / 20) * (1 - spent) + 1e-5
        side = (64, 96, 128)[step % 3]
        images, truths = pictures(1000 + step, 16, side)
        loss = loss_of(net(torch.from_numpy(images)), *targets(truths, side))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        step += 1
        if step % 25 == 0:
            print(step, f"{loss.item():.3f}", flush=True)
    return net.eval()


def detections(y, least=0.4):
    """Pick boxes by score, best first, none within half a size of a better one of its class."""
    found = []
    for picture in y:
        picked = []
        kinds, best = picture[4:].argmax(0), picture[4:].max(0)
        for cell in np.argsort(-best):
            if best[cell] < least:
                break
            box = picture[:4, cell]
            near = (
                k == kinds[cell] and np.hypot(*(box - b)[:2]) < 0.5 * max(b[2], 1)
                for k, b in picked
            )
            if not any(near):
                picked.append((int(kinds[cell]), box))
        found.append(picked)
    return found


def matched(found, truth, most=0.25):
    """Count the pairs of one class whose centres lie within a part of the size."""
    left, count = list(found), 0
    for kind, x, y, size in truth:
        for i, (k, box) in enumerate(left):
            if k == kind and np.hypot(box[0] - x, box[1] - y) < most * size:
                count += 1
                del left[i]
                break
    return count


def make():
    """The trained network, by weights of half precision."""
    net = Detector()
    with np.load(WEIGHTS) as stored:
        state = {k: torch.from_numpy(stored[k].astype(np.float32)) for k in stored.files}
    net.load_state_dict(state, strict=False)
    return net.eval()


if __name__ == "__main__":
    import sys

    torch.set_num_threads(1)
    trained = train(float(sys.argv[1]) if len(sys.argv) > 1 else 90.0)
    state = {k: v.numpy() for k, v in trained.state_dict().items() if "num_batches" not in k}
    np.savez_compressed(WEIGHTS, **{k: v.astype(np.float16) for k, v in state.items()})
    images, truths = pictures(5, 64, 128)
    with torch.no_grad():
        found = detections(make()(torch.from_numpy(images)).numpy())
    hits = sum(matched(f, t) for f, t in zip(found, truths, strict=True))
    print(sum(v.size for v in state.values()), hits, sum(map(len, found)), sum(map(len, truths)))
