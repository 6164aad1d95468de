"""Each known module and function by itself: what ONNX Runtime computes is what torch does."""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn

from simam_deploy.core.specs import TensorSpec
from simam_deploy.source.direct import graph_of_modules


class Step(nn.Module):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        return self.step(x)


def odd_norm(norm):
    norm.eps = 0.03
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.01, 2)
    return norm


MAPS, VECTORS, SERIES = (2, 6, 9, 8), (2, 6), (2, 6, 9)
STEPS = [
    (MAPS, nn.Conv2d(6, 4, (3, 5), (2, 1), (1, 2), (1, 2))),
    (MAPS, nn.Conv2d(6, 12, 3, padding=1, groups=3, bias=False)),
    (SERIES, nn.Conv1d(6, 5, 3, 2, 1)),
    (MAPS, odd_norm(nn.BatchNorm2d(6))),
    (SERIES, odd_norm(nn.BatchNorm1d(6))),
    (MAPS, nn.MaxPool2d(3, 2, 1)),
    (MAPS, nn.MaxPool2d((3, 2), ceil_mode=True)),
    (MAPS, nn.MaxPool2d(2, 3, dilation=2)),
    (MAPS, nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)),
    (MAPS, nn.AvgPool2d(3, 2, 1)),
    (MAPS, nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    (VECTORS, nn.Linear(6, 5)),
    (SERIES, nn.Softmax(dim=2)),
    (SERIES, nn.Softmax(dim=1)),
    (MAPS, nn.ReLU()),
    (MAPS, nn.ReLU6()),
    (MAPS, nn.Sequential(nn.Dropout(0.9), nn.Identity(), nn.ReLU())),
    (MAPS, lambda x: x.mean(dim=(2, 3))),
    (MAPS, lambda x: x.mean(-1, keepdim=True)),
    (MAPS, lambda x: x.sum(dim=[1, -1])),
    (MAPS, lambda x: x.clamp(min=-0.5)),
    (MAPS, lambda x: x.clamp(max=0.5)),
    (MAPS, lambda x: x.clamp(-0.2, 0.3)),
    (MAPS, lambda x: x.flatten(1, 2)),
    (MAPS, lambda x: x.flatten(1)),
    (MAPS, lambda x: x.flatten(start_dim=2)),
    (MAPS, lambda x: x.transpose(1, -1)),
    (SERIES, lambda x: x.unsqueeze(-1)),
    (SERIES, lambda x: x.unsqueeze(1)),
    (MAPS, lambda x: torch.cat((x, x * x, x - x.clamp(min=0.0)), dim=1)),
    (MAPS, lambda x: torch.cat([x, x + x], -3)),
    (MAPS, lambda x: (x * x).sqrt()),
    (MAPS, lambda x: torch.nn.functional.relu(x, inplace=True)),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "step"), STEPS, ids=map(str, range(len(STEPS))))
def test_a_step_computes_what_torch_does(shape, step):
    module = Step(step).eval()
    spec = TensorSpec("x", "float32", ("batch", *shape[1:]))
    model = graph_of_modules(module, spec, ("y",), 18)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = module(x.clone()).detach().numpy()
    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (got,) = session.run(None, {"x": x.numpy()})
    assert list(got.shape[1:]) == list(model.graph.outputs[0].shape)[1:]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
