"""Golden networks in half: what the conversion costs, against what PyTorch's own half costs."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.graph.passes.fold_bn import fold_bn
from simam_deploy.graph.passes.forget import forget_origin
from simam_deploy.graph.passes.opset import convert_opset
from simam_deploy.graph.prepare import for_runtime
from simam_deploy.models.attention.simam import SimAM, simam
from simam_deploy.models.build import build
from simam_deploy.models.identify import identify
from simam_deploy.precision.half.audit import audit, measure
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.rounding import rounded
from simam_deploy.precision.taps import record_sites
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions
from simam_deploy.verify.gates import check_gates
from tests.golden import CASES, Golden, golden
from tests.marks import slow_but
from tests.pipeline.test_golden_export import official_file
from tests.precision.half.graphs import BF16, FP16

QUICK = ("cifar_resnet20",)
TORCH = {FP16: torch.float16, BF16: torch.bfloat16}
NETWORKS = slow_but(QUICK, CASES)


@dataclass(frozen=True, eq=False)
class Network:
    """A golden network as a traced file that every test reads anew, and its size in float32."""

    case: Golden
    traced: Path
    size: int

    def graph(self) -> ir.Model:
        return read_model(self.traced)

    def feeds(self, graph: ir.Model) -> dict[str, np.ndarray]:
        return {graph.graph.inputs[0].name: self.case.runs[0].input}

    def in_half(self, dtype: ir.DataType) -> ir.Model:
        graph = self.graph()
        if dtype == BF16:
            graph = convert_opset(graph, 22)
        to_half(graph, dtype)
        return plain(graph)

    def error(self, graph: ir.Model, folder: Path) -> tuple[float, int]:
        """The worst error of any golden output, and the size of the file."""
        file = folder / "m.onnx"
        write_model(graph, file)
        with OnnxRunner(file, as_written=True) as runner:
            name = runner.inputs[0].name
            runs = [list(runner.run({name: r.input}).values()) for r in self.case.runs]
        errors = [r.error(got) for r, got in zip(self.case.runs, runs, strict=True)]
        return max(errors), file.stat().st_size

    @functools.cache  # noqa: B019 - as long as the tests run
    def torch_error(self, dtype: torch.dtype) -> float:
        """The same of PyTorch in half, SimAM in float32."""
        weights = self.case.state_dict
        identity = identify({k: tuple(v.shape) for k, v in weights.items()}, self.case.name)
        network = build(identity, dict(weights), self.case.e_lambda).to(dtype)
        with torch.inference_mode():
            return max(
                run.error([o.float().numpy() for o in _outputs(network, run.input, dtype)])
                for run in self.case.runs
            )


def _outputs(network: torch.nn.Module, x: np.ndarray, dtype: torch.dtype) -> list[torch.Tensor]:
    result = network(torch.from_numpy(x).to(dtype))
    return list(result) if isinstance(result, tuple) else [result]


def plain(graph: ir.Model) -> ir.Model:
    lower_portable(graph)
    RemoveUnusedNodesPass()(graph)
    return graph


_LOADED: dict[str, Network] = {}


@pytest.fixture
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Network:
    name = request.param
    if name not in _LOADED:
        folder = tmp_path_factory.mktemp(name)
        case = golden(name)
        options = NetworkOptions(input_shape=case.runs[0].input.shape[1:])
        graph = load_subject(official_file(case, folder), options).graph().model
        forget_origin(graph)
        fold_bn(graph)
        write_model(graph, folder / "traced.onnx")
        write_model(plain(read_model(folder / "traced.onnx")), folder / "float32.onnx")
        size = (folder / "float32.onnx").stat().st_size
        _LOADED[name] = Network(case, folder / "traced.onnx", size)
    return _LOADED[name]


@pytest.fixture
def careful_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: SimAM, x: torch.Tensor) -> torch.Tensor:
        return simam(x.float(), self.e_lambda).to(x.dtype)

    monkeypatch.setattr(SimAM, "forward", forward)


@pytest.mark.usefixtures("careful_torch")
@pytest.mark.parametrize("network", NETWORKS, indirect=True)
def test_float16_costs_no_more_than_in_torch(network, tmp_path):
    """In ONNX Runtime, whose CPU provider rounds less often than the file says."""
    error, size = network.error(network.in_half(FP16), tmp_path)
    assert 1e-5 < error <= 1.25 * network.torch_error(torch.float16)
    # Of a CIFAR file (1.1 to 7 MB), up to 5 % is the graph and BN's vectors, which stay.
    assert size <= (0.526 if network.case.name.startswith("cifar") else 0.51) * network.size


@pytest.mark.usefixtures("careful_torch")
@pytest.mark.parametrize("network", NETWORKS, indirect=True)
@pytest.mark.parametrize(("dtype", "factor"), [(FP16, 1.5), (BF16, 1.25)], ids=["fp16", "bf16"])
def test_rounding_every_value_costs_as_much_as_in_torch(network, dtype, factor, tmp_path):
    """ONNX Runtime's CPU provider has no bfloat16, so that its rounding is written out.

    Both sides draw one instance of rounding: measured 0.7 to 1.3 times PyTorch's.
    """
    error, _ = network.error(rounded(network.in_half(dtype)), tmp_path)
    assert error <= factor * network.torch_error(TORCH[dtype])


@pytest.mark.parametrize("network", NETWORKS, indirect=True)
@pytest.mark.parametrize("dtype", [FP16, BF16], ids=["fp16", "bf16"])
def test_every_gate_is_right(network, dtype):
    reference = network.graph()
    lower_portable(reference)
    feeds = network.feeds(reference)
    samples = record_sites(reference, feeds)
    checks = check_gates(samples, network.in_half(dtype), dtype, feeds)
    assert len(checks) == len(samples) > 0
    assert [c for c in checks if not c.passed] == []
    seen = {s.name: measure(s.x) for s in samples}
    findings = audit(network.in_half(dtype), dtype, seen)
    assert all(f.island and f.level != "error" for f in findings)


@pytest.mark.parametrize("network", ["cifar_resnet20"], indirect=True)
def test_the_simplifier_leaves_the_casts(network):
    graph = network.graph()
    halved = to_half(graph, FP16)
    simplified = for_runtime(graph, 18)
    assert halved.casts == 2 * 9 + 2
    assert sum(n.op_type == "Cast" for n in simplified.graph) == halved.casts


@pytest.mark.parametrize("network", ["cifar_resnet20"], indirect=True)
def test_one_weight_zeroed_is_seen_by_the_outputs(network, tmp_path):
    """The gates, judged on the float32 network's maps, cannot see it."""
    clean, _ = network.error(network.in_half(FP16), tmp_path)
    graph = network.in_half(FP16)
    convolutions = [n for n in graph.graph if n.op_type == "Conv"]
    for conv in convolutions:
        weight = conv.inputs[1]
        kept = weight.const_value
        weight.const_value = ir.tensor(np.zeros_like(kept.numpy()), name=weight.name)
        error, _ = network.error(graph, tmp_path)
        weight.const_value = kept
        assert error > 10 * clean
