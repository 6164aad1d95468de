"""A detector as people build it, SimAM at several scales and in three hands, survives whole."""

import io
import warnings

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.graph.recognise import recognise, to_nodes
from simam_deploy.runtime.onnx_runner import OnnxRunner

SIZES = [(1, 64, 96), (3, 128, 64), (2, 96, 160)]
OUTPUTS = ["small", "medium", "large"]


class simam_module(nn.Module):  # noqa: N801 - as in the authors' code and its many copies
    def __init__(self, channels=None, e_lambda=1e-4):
        super().__init__()
        self.activaton = nn.Sigmoid()
        self.e_lambda = e_lambda

    def forward(self, x: Tensor) -> Tensor:
        _, _, h, w = x.size()
        n = w * h - 1
        x_minus_mu_square = (x - x.mean(dim=[2, 3], keepdim=True)).pow(2)
        y = (
            x_minus_mu_square
            / (4 * (x_minus_mu_square.sum(dim=[2, 3], keepdim=True) / n + self.e_lambda))
            + 0.5
        )
        return x * self.activaton(y)


class VarianceAttention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        d = x - x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(d * d / (4 * (x.var((2, 3), keepdim=True) + 0.1)) + 0.5)


class ConvBnSilu(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.SiLU(),
        )


class C2f(nn.Module):
    """Split, a few bottlenecks whose results are all kept, Concat; the gate is a method."""

    def __init__(self, inputs: int, outputs: int, attention: nn.Module | None = None) -> None:
        super().__init__()
        half = outputs // 2
        self.first = ConvBnSilu(inputs, outputs, 1)
        self.inner = nn.Sequential(ConvBnSilu(half, half), ConvBnSilu(half, half))
        self.last = ConvBnSilu(3 * half, outputs, 1)
        self.attention = attention

    def gate(self, x: Tensor, lam: float = 0.25) -> Tensor:
        d2 = torch.square(x - x.mean([2, 3], keepdim=True))
        n = x.shape[2] * x.shape[3] - 1
        return torch.sigmoid(d2 / (4 * (d2.sum([2, 3], keepdim=True) / n + lam)) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.first(x).chunk(2, 1)
        out = self.last(torch.cat([a, b, b + self.inner(b)], 1))
        return out * self.gate(out) if self.attention is None else self.attention(out)


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBnSilu(3, 8, 3, 2)
        self.p2 = nn.Sequential(ConvBnSilu(8, 16, 3, 2), C2f(16, 16, simam_module(16)))
        self.p3 = nn.Sequential(ConvBnSilu(16, 24, 3, 2), C2f(24, 24, VarianceAttention()))
        self.p4 = nn.Sequential(ConvBnSilu(24, 32, 3, 2), C2f(32, 32))
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.spp = ConvBnSilu(96, 32, 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.n3 = C2f(56, 24)
        self.n2 = C2f(40, 16, simam_module(16, e_lambda=0.1))
        self.d3 = ConvBnSilu(16, 24, 3, 2)
        self.o3 = C2f(48, 24, VarianceAttention())
        self.heads = nn.ModuleList(
            nn.Sequential(simam_module(c), nn.Conv2d(c, 18, 1)) for c in (16, 24, 32)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        p2 = self.p2(self.stem(x))
        p3 = self.p3(p2)
        p4 = self.p4(p3)
        once = self.pool(p4)
        p4 = self.spp(torch.cat([p4, once, self.pool(once)], 1))
        n3 = self.n3(torch.cat([self.up(p4), p3], 1))
        n2 = self.n2(torch.cat([self.up(n3), p2], 1))
        o3 = self.o3(torch.cat([self.d3(n2), n3], 1))
        maps = zip(self.heads, (n2, o3, p4), strict=True)
        return tuple(self.flat(head(value)) for head, value in maps)

    def flat(self, x: Tensor) -> Tensor:
        """Anchors last, as decoders want them."""
        b, _, h, w = x.shape
        return x.view(b, 3, 6, h, w).permute(0, 1, 3, 4, 2).contiguous()


LAMBDAS = [1e-4, 0.1, 0.25, 0.25, 0.1, 0.1, 1e-4, 1e-4, 1e-4]


@pytest.fixture(scope="module")
def network() -> Detector:
    torch.manual_seed(0)
    net = Detector().eval()
    for bn in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(bn.weight, 0.5, 1.5)
        nn.init.normal_(bn.bias, 0, 0.3)
        nn.init.uniform_(bn.running_var, 0.5, 1.5)
    return net


def torchscript(net: Detector) -> bytes:
    axes = {0: "batch", 2: "height", 3: "width"}
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter is deprecated, and says so in many words.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        torch.onnx.export(
            net, (torch.zeros(2, 3, 64, 96),), file, dynamo=False, opset_version=13,
            input_names=["images"], output_names=OUTPUTS, dynamic_axes={"images": axes},
        )  # fmt: skip
    return file.getvalue()


def dynamo(net: Detector) -> bytes:
    dim = torch.export.Dim
    shapes = {
        0: dim("batch", min=1, max=64),
        2: 32 * dim("rows", min=2, max=64),
        3: 32 * dim("columns", min=2, max=64),
    }
    with warnings.catch_warnings():
        # torch calls its own deprecated spelling.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        program = torch.onnx.export(
            net, (torch.zeros(2, 3, 64, 96),), dynamo=True, opset_version=18, verbose=False,
            input_names=["images"], output_names=OUTPUTS, dynamic_shapes=(shapes,),
        )  # fmt: skip
    return program.model_proto.SerializeToString()


def outputs(path, images):
    with OnnxRunner(path, as_written=True) as runner:
        return [runner.run({"images": x}) for x in images]


@pytest.mark.parametrize("exporter", [torchscript, dynamo], ids=lambda e: e.__name__)
def test_every_site_is_found_and_replaced(exporter, network, tmp_path):
    source, target = tmp_path / "detector.onnx", tmp_path / "lowered.onnx"
    source.write_bytes(exporter(network))
    model = read_model(source)
    findings = recognise(model)
    assert findings.near_misses == ()
    assert sorted(site.e_lambda for site in findings.sites) == sorted(LAMBDAS)
    assert to_nodes(model, findings) == len(LAMBDAS)
    assert lower_portable(model) == len(LAMBDAS)
    write_model(model, target)
    onnx.checker.check_model(str(target), full_check=True)
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((n, 3, h, w)).astype(np.float32) for n, h, w in SIZES]
    for before, after in zip(outputs(source, images), outputs(target, images), strict=True):
        assert list(before) == list(after) == OUTPUTS
        for name, expected in before.items():
            worst = np.abs(after[name] - expected).max() / np.abs(expected).max()
            assert worst < 2e-6, name


def test_the_comparison_would_see_one_wrong_lambda(network, tmp_path):
    source, target = tmp_path / "detector.onnx", tmp_path / "wrong.onnx"
    source.write_bytes(torchscript(network))
    model = read_model(source)
    to_nodes(model)
    node = next(n for n in model.graph if n.domain == "simam")
    node.attributes.add(ir.AttrFloat32("e_lambda", node.attributes["e_lambda"].as_float() * 1.01))
    lower_portable(model)
    write_model(model, target)
    x = np.random.default_rng(0).standard_normal((1, 3, 64, 96)).astype(np.float32)
    (before,), (after,) = outputs(source, [x]), outputs(target, [x])
    worst = max(np.abs(after[n] - before[n]).max() / np.abs(before[n]).max() for n in OUTPUTS)
    assert worst > 2e-6
