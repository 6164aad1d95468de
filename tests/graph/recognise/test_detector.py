"""A detector in the style of YOLO: SimAM at several scales of a pyramid, sizes symbolic."""

from __future__ import annotations

import io
import warnings

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from simam_deploy.graph.recognise import recognise, to_nodes
from tests.graph.recognise.running import difference, run, written_out
from tests.graph.recognise.variants import official

CHANNELS = (8, 12, 16)


class Attended(nn.Module):
    """A convolution, its normalisation and SimAM."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return official(functional.silu(self.bn(self.conv(x))), 1e-4)


class Detector(nn.Module):
    """Backbone, a neck that goes up and down, and a head at each of three scales."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = CHANNELS
        self.stem = nn.Conv2d(3, a, 3, 4, 1)
        self.stages = nn.ModuleList([Attended(a, a, 2), Attended(a, b, 2), Attended(b, c, 2)])
        self.lateral = nn.ModuleList([Attended(c + b, b), Attended(b + a, a)])
        self.down = nn.ModuleList([nn.Conv2d(a, a, 3, 2, 1), nn.Conv2d(b, b, 3, 2, 1)])
        self.merge = nn.ModuleList([Attended(a + b, b), Attended(b + c, c)])
        self.heads = nn.ModuleList([nn.Conv2d(width, 7, 1) for width in CHANNELS])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x, maps = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        small, middle, large = maps
        up = functional.interpolate(large, scale_factor=2.0, mode="nearest")
        middle = self.lateral[0](torch.cat([up, middle], 1))
        up = functional.interpolate(middle, size=small.shape[2:], mode="nearest")
        small = self.lateral[1](torch.cat([up, small], 1))
        middle = self.merge[0](torch.cat([self.down[0](small), middle], 1))
        large = self.merge[1](torch.cat([self.down[1](middle), large], 1))
        pyramid = zip(self.heads, (small, middle, large), strict=True)
        return tuple(head(x).flatten(2) for head, x in pyramid)


def torchscript(model: nn.Module, image: Tensor) -> onnx.ModelProto:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        axes = {"image": {0: "n", 2: "h", 3: "w"}}
        torch.onnx.export(
            model,
            (image,),
            file,
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            dynamic_axes=axes,
        )
    return onnx.load_from_string(file.getvalue())


def dynamo(model: nn.Module, image: Tensor) -> onnx.ModelProto:
    step = (
        32 * torch.export.Dim("rows", min=2, max=64),
        32 * torch.export.Dim("columns", min=2, max=64),
    )
    shapes = ({0: torch.export.Dim("n", max=64), 2: step[0], 3: step[1]},)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        program = torch.onnx.export(
            model, (image,), dynamo=True, opset_version=18, dynamic_shapes=shapes, verbose=False
        )
    return program.model_proto


@pytest.mark.parametrize("export", [torchscript, dynamo])
def test_a_detector_survives_whole(export) -> None:
    torch.manual_seed(0)
    proto = export(Detector().eval(), torch.rand(2, 3, 64, 96))
    model = ir.from_proto(proto)
    findings = recognise(model)
    assert findings.near_misses == ()
    assert [site.e_lambda for site in findings.sites] == [1e-4] * 7
    assert [site.shape[1] for site in findings.sites if site.shape] == [8, 12, 16, 12, 8, 12, 16]
    assert to_nodes(model, findings) == 7
    image = np.random.default_rng(0).random((3, 3, 160, 64), np.float32)
    for old, new in zip(run(proto, image), run(written_out(model), image), strict=True):
        assert difference(new, old) < 2e-6
