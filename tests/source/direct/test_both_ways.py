"""Every network of the zoo by its modules and by torch.onnx: graphs equal in function."""

import warnings
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn

from simam_deploy.graph.file.typed import with_shapes
from simam_deploy.graph.prepare import for_runtime
from simam_deploy.graph.sites import check_sites, dims
from simam_deploy.models.create import create
from simam_deploy.models.geometry import site_shapes
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.source.direct import Unknown, graph_of_modules, maps_of_sites
from simam_deploy.source.forward import Forward
from simam_deploy.source.input_plan import plan_input
from simam_deploy.source.trace import trace
from tests.marks import slow_but

DEEPEST = 2
"""Blocks of a stage: the deeper networks of a family are more of the same."""
CHEAP = ["cifar_preresnet20"]


def drawn(name, **changes):
    """A network with drawn weights and statistics: a fresh batch norm's would hide a swap.

    Their scales are powers of two, epsilon 0: whoever folds them into a weight does not round.
    """
    torch.manual_seed(0)
    network = replace(NETWORKS[name], **changes)
    module = create(network).eval()
    for key, tensor in module.state_dict().items():
        if key.endswith("running_var"):
            tensor.copy_(4.0 ** torch.randint(-1, 2, tensor.shape))
        elif tensor.ndim > 1:
            nn.init.kaiming_normal_(tensor)  # torch's own draw lets maps die: all of them 0
        elif key.endswith("weight"):
            tensor.copy_(2.0 ** torch.randint(-1, 2, tensor.shape))
        elif tensor.is_floating_point():
            tensor.normal_(0.0, 0.2)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.eps = 0.0
    return network, module


def shallow(name):
    return drawn(name, blocks=tuple(min(b, DEEPEST) for b in NETWORKS[name].blocks))


def both(name, dynamic, opset=18):
    network, module = shallow(name)
    plan = plan_input(network.family, dynamic, None, None)
    names = network.family.output_names
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = trace(Forward(module), (plan.spec,), names, plan.trace_sizes, opset)
    return plan, graph_of_modules(module, plan.spec, names, opset), traced


def computed(model, plan):
    rng = np.random.default_rng(0)
    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = rng.standard_normal((2, *plan.shape[1:]), np.float32)
    return session.run(None, {plan.spec.name: x})


def sizes(value, plan):
    """A shape at one size of all that is free, whatever the formulas are written like."""
    free = {str(size): 57 for size in plan.spec.shape if isinstance(size, str)}
    return [
        eval(size, {}, free) if isinstance(size, str) else size for size in dims(value)
    ]  # fmt: skip


@pytest.mark.parametrize("name", slow_but(CHEAP, NETWORKS))
def test_the_two_ways_agree(name):
    plan, direct, traced = both(name, "batch")
    ends = [(v.name, v.dtype, dims(v)) for v in (*direct.graph.inputs, *direct.graph.outputs)]
    assert ends == [
        (v.name, v.dtype, dims(v)) for v in (*traced.graph.inputs, *traced.graph.outputs)
    ]
    assert check_sites(direct) == check_sites(traced)
    ours, theirs = for_runtime(direct, 18), for_runtime(traced, 18)
    assert len(ours.graph) <= len(theirs.graph)
    for got, expected in zip(computed(ours, plan), computed(theirs, plan), strict=True):
        assert np.ptp(expected[0]) > 0 and not np.array_equal(expected[0], expected[1])
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    "name", slow_but(["resnet18_backbone"], ["resnet50d", "wespeaker_simam_resnet34_asp"])
)
def test_free_sizes_agree(name):
    plan, direct, traced = both(name, "hw")
    for ours, theirs in zip(direct.graph.outputs, traced.graph.outputs, strict=True):
        assert sizes(ours, plan) == sizes(theirs, plan)
    here, there = (
        [[sizes(node.inputs[0], plan) for node in model.graph if node.domain]
         for model in (direct, traced)]
    )  # fmt: skip
    assert here == there and here


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_is_known_and_its_shapes_are_onnxs(name):
    """What ONNX infers where SimAM's node lets it, and by formulas what torch runs."""
    network, module = shallow(name)
    plan = plan_input(network.family, "hw", None, None)
    model = graph_of_modules(module, plan.spec, network.family.output_names, 18)
    maps = maps_of_sites(module, plan.spec, plan.spatial)
    for step in (0, 13):
        shape = tuple(
            size + step if axis in plan.spatial else size for axis, size in enumerate(plan.shape)
        )
        assert maps(shape) == site_shapes(module, shape)
    ours = {v.name: sizes(v, plan) for node in model.graph for v in node.outputs}
    model.graph.inputs[0].shape = ir.Shape(sizes(model.graph.inputs[0], plan))
    for node in model.graph:
        (value,) = node.outputs
        value.shape = ir.Shape(sizes(value, plan)) if node.domain else None
    onnxs = {v.name: sizes(v, plan) for node in with_shapes(model).graph for v in node.outputs}
    assert onnxs == ours


class Odd(nn.Module):
    """Of one step that is not known."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        return self.step(x)


@pytest.mark.parametrize(
    "step",
    [
        nn.GELU(),
        nn.BatchNorm2d(3).train(),
        nn.Dropout().train(),
        nn.Conv2d(3, 3, 3, padding="same"),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
        nn.MaxPool2d(2, return_indices=True),
        nn.AvgPool2d(2, divisor_override=3),
        nn.Conv2d(3, 3, 1).half(),
        lambda x: x * 2,
        lambda x: x + x.mean(dim=1, keepdim=True),
        lambda x: {"a": x + x},
        lambda x: (x,),
        lambda x: x.mean(),
        lambda x: torch.tanh(x),
    ],
)
def test_what_is_not_known_is_said(step):
    """torch.onnx has the network then; silence would be a wrong graph."""
    spec = plan_input(NETWORKS["cifar_resnet20"].family, "batch", None, None).spec
    module = Odd(step)
    if not isinstance(step, nn.Module):
        module.eval()
    with pytest.raises(Unknown):
        graph_of_modules(module, spec, ("y",), 18)
