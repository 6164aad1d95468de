"""Thirty seconds of speech: the maps of a WeSpeaker network that naive float16 collapses on."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.graph.recognise import recognise
from simam_deploy.graph.tape import Tape
from simam_deploy.precision.half.audit import audit, measure
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.taps import record_sites
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions
from simam_deploy.verify.gates import check_gates
from tests.golden import golden
from tests.pipeline.test_golden_export import official_file
from tests.precision.half.graphs import FP16

FRAMES = 3000  # 10 ms each


def published(tape: Tape, x: ir.Value, e_lambda: float, ratio: float) -> ir.Value:
    """The authors' formula, its sum and its n = H*W - 1 in the type of the map."""
    n = round(1 / (1 - ratio)) - 1.0
    d = tape.op("Sub", x, tape.reduce_mean(x, (2, 3)))
    d2 = tape.op("Mul", d, d)
    total = tape.op("ReduceSum", d2, tape.constant((2, 3)), attributes={"keepdims": 1})
    variance = tape.op("Add", tape.op("Div", total, n), e_lambda)
    energy = tape.op("Add", tape.op("Div", d2, tape.op("Mul", variance, 4.0)), 0.5)
    return tape.op("Mul", x, tape.op("Sigmoid", energy))


def in_half_throughout(graph: ir.Model) -> ir.Model:
    """What a converter without a block list makes: every value of SimAM in half."""
    expand(graph, published, 4)
    graph = typed(graph)
    for value in [v for node in graph.graph for v in node.outputs]:
        value.type = ir.TensorType(FP16) if value.dtype == ir.DataType.FLOAT else value.type
    for name, value in graph.graph.initializers.items():
        if value.const_value.dtype == ir.DataType.FLOAT:
            with np.errstate(over="ignore"):
                half = value.const_value.numpy().astype(np.float16)
            value.const_value = ir.tensor(half, name=name)
            value.type = ir.TensorType(FP16)
    for value in graph.graph.inputs:
        value.type = ir.TensorType(FP16)
    return graph


@pytest.mark.slow
def test_ours_passes_and_naive_float16_fails(tmp_path):
    case = golden("wespeaker_simam_resnet34_asp")
    options = NetworkOptions(input_shape=(FRAMES, 80), dynamic="none")
    file = official_file(case, tmp_path)
    x = np.random.default_rng(0).normal(0, 3, (1, FRAMES, 80)).astype(np.float32)

    def graph() -> ir.Model:
        return load_subject(file, options).graph().model

    def plain() -> ir.Model:
        model = graph()
        lower_portable(model)
        return model

    feeds = {graph().graph.inputs[0].name: x}
    samples = record_sites(plain(), feeds)
    ours = graph()
    to_half(ours, FP16)
    lower_portable(ours)
    checks = check_gates(samples, ours, FP16, feeds)
    assert len(checks) == 16
    assert [check for check in checks if not check.passed] == []
    seen = {s.name: measure(s.x) for s in samples}
    assert all(f.level != "error" for f in audit(typed(plain()), FP16, seen))
    naive = in_half_throughout(graph())
    broken = [miss.reason for miss in recognise(naive).near_misses]
    assert "n = inf, broken" in broken[0]
    assert not any(check.passed for check in check_gates(samples, naive, FP16, feeds))
    few = {name: seen for name, seen in seen.items() if seen.pixels < 65505}
    assert any(f.level == "warning" and "overflow" in f.reason for f in audit(plain(), FP16, few))
