"""Kept traces are what torch makes of a network, and of no other."""

import onnx_ir as ir
import pytest
import torch

from simam_deploy.core.specs import TensorSpec
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.source.forward import Forward
from simam_deploy.source.trace import trace
from tests import traced
from tests.graph import onnx_text
from tests.nets import networks

SPEC = TensorSpec("x", "float32", ("batch", 3, 32, 32))
ASKED = {"inputs": (SPEC,), "output_names": ("y",), "sizes": {"batch": 2}, "opset": 18}


def made(name="cifar_resnet20"):
    torch.manual_seed(0)
    network = getattr(networks, name, None)
    return (network() if network else create(NETWORKS[name])).eval()


@pytest.fixture
def counted(monkeypatch):
    """The keeper with nothing kept, over what stands in for torch, and what it had traced."""
    monkeypatch.setattr(traced, "found", {})
    graph, calls = onnx_text.simam_model("2,3,5,7"), []
    return traced.keep(lambda *asked: calls.append(asked) or graph.clone()), calls


def test_a_copy_is_the_trace(monkeypatch):
    monkeypatch.setattr(traced, "found", {})
    kept = traced.keep(trace)
    graphs = [kept(Forward(made("Classifier")), *ASKED.values()) for _ in range(2)]
    graphs.append(trace(Forward(made("Classifier")), *ASKED.values()))
    assert len(traced.found) == 1
    written = [ir.to_proto(graph).SerializeToString(deterministic=True) for graph in graphs]
    assert written[0] == written[1] == written[2]


def test_what_is_the_same_is_traced_once(counted):
    kept, calls = counted
    graphs = [kept(Forward(made()), *ASKED.values()) for _ in range(3)]
    assert len(calls) == 1
    assert len({id(graph.graph) for graph in graphs}) == 3


def another_weight(network):
    with torch.no_grad():
        network.bn1.running_mean[3] += 1e-6


def another_lambda(network):
    next(m for m in network.modules() if isinstance(m, SimAM)).e_lambda = 2e-4


def another_forward(network, monkeypatch):
    monkeypatch.setattr(SimAM, "forward", lambda self, x: x)


def a_hook(network):
    network.conv1.register_forward_hook(lambda module, args, result: 2 * result)


@pytest.mark.parametrize("change", [another_weight, another_lambda, another_forward, a_hook])
def test_another_network_is_traced_anew(change, counted, monkeypatch):
    kept, calls = counted
    kept(Forward(made()), *ASKED.values())
    changed = made()
    change(changed, *([monkeypatch] if change is another_forward else []))
    kept(Forward(changed), *ASKED.values())
    assert len(calls) == 2


@pytest.mark.parametrize(
    "asked",
    [
        {"inputs": (TensorSpec("x", "float32", (1, 3, 32, 32)),), "sizes": {}},
        {"output_names": ("scores",)},
        {"opset": 20},
    ],
)
def test_what_is_asked_otherwise_is_traced_anew(asked, counted):
    kept, calls = counted
    for each in (ASKED, {**ASKED, **asked}):
        kept(Forward(made()), *each.values())
    assert len(calls) == 2


def test_a_network_of_anybody_s_is_never_kept(counted):
    class Own(networks.Classifier):
        def forward(self, x):
            return super().forward(x)

    kept, calls = counted
    for _ in range(2):
        kept(Forward(Own().eval()), *ASKED.values())
    assert len(calls) == 2
