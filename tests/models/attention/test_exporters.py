"""`simam_deploy.SimAM` in anybody's network: whatever traces it gets plain operations."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

import simam_deploy
from simam_deploy.models.attention.simam import as_nodes

pytestmark = [
    # torch 2.13's exporter calls a pytree function that it has deprecated itself.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
X = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 9, 8), np.float32))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), simam_deploy.SimAM(1e-3), nn.ReLU()).eval()


@pytest.fixture(scope="module")
def expected(network):
    with torch.no_grad():
        return network(X)


def exported(network, path, **options):
    torch.onnx.export(network, (X,), path, input_names=["x"], **options)
    return onnx.load(path)


@pytest.mark.parametrize("dynamo", [True, False])
def test_torch_onnx_writes_standard_operators(network, expected, tmp_path, dynamo):
    model = exported(network, tmp_path / "n.onnx", dynamo=dynamo)
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions
    session = ort.InferenceSession(tmp_path / "n.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": X.numpy()})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_torch_export(network, expected):
    program = torch.export.export(network, (X,))
    targets = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert all(target.startswith("aten.") for target in targets)
    torch.testing.assert_close(program.module()(X), expected)


@pytest.mark.parametrize("make", [torch.jit.script, lambda model: torch.jit.trace(model, X)])
def test_torchscript(network, expected, make):
    with torch.no_grad():
        torch.testing.assert_close(make(network)(X), expected)


def test_torch_compile_breaks_no_graph(network, expected):
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(X), expected)


def test_our_own_export_makes_a_node_of_it_and_leaves_no_trace(network, expected, tmp_path):
    with as_nodes(network):
        program = torch.onnx.export(network, (X,), dynamo=True, verbose=False)
    assert [node.domain for node in program.model.graph].count("simam") == 1
    assert "forward" not in vars(network[1])
    with torch.no_grad():
        assert torch.equal(network(X), expected)
