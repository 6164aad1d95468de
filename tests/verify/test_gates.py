"""SimAM gates in half: hazards and planted faults, and graphs that are right."""

import json

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.errors import InputError
from simam_deploy.graph.lower.instance_norm import lower_instance_norm
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.taps import SiteRecorder, SiteSample, record_sites
from simam_deploy.verify.gates import NOTHING_SHOWN, GateCheck, GateChecker, check_gates, worst_of
from tests.graph.onnx_text import model, simam_model
from tests.precision.half.graphs import BF16, FP16, block, draw, naive, planes

SIZES = [(112, 112), (56, 56), (28, 28), (7, 7), (200, 334)]
KINDS = ["std 1", "std 5", "std 30", "uniform 300", "mean 50", "outliers"]
NAMES = {FP16: "float16", BF16: "bfloat16"}


def converted(height: int, width: int, dtype: ir.DataType) -> ir.Model:
    graph = simam_model(f"1,4,{height},{width}", 22, 1e-4)
    to_half(graph, dtype, keep_io=False)
    lower_portable(graph)
    return graph


def sample(x: np.ndarray) -> tuple[SiteSample, ...]:
    return (SiteSample("site", 1e-4, x),)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", [FP16, BF16], ids=NAMES.get)
def test_ours_passes_every_hazard_and_all_half_none(dtype, size, kind):
    samples = sample(planes(kind, *size))
    (ours,) = check_gates(samples, converted(*size, dtype), dtype)
    assert ours.passed, ours
    # Half a unit is the one rounding of y: it is reached, which shows that it is emulated.
    assert 0.3 < ours.error_ulps < 0.51
    assert ours.collapsed == 0
    assert ours.cosine > 0.99
    (half,) = check_gates(samples, naive(*size, dtype), dtype)
    assert not half.passed, half


@pytest.mark.parametrize(
    ("kind", "size"),
    [("std 5", (112, 112)), ("std 5", (56, 56)), ("std 30", (28, 28)), ("outliers", (56, 56))],
)
def test_a_collapse_is_told_by_its_figures(kind, size):
    (found,) = check_gates(sample(planes(kind, *size)), naive(*size), FP16)
    assert found.gate == pytest.approx((0.6225, 0.6225), abs=1e-3)
    assert found.expected[1] > 0.9
    assert found.collapsed > 0.3
    assert found.error_ulps > 300


def test_nan_is_a_failure_with_its_count():
    (found,) = check_gates(sample(planes("uniform 300", 56, 56)), naive(56, 56), FP16)
    assert "NaN or infinite" in found.reason
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["passed"] is False


def test_a_map_beyond_half_is_a_failure():
    x = np.full((1, 4, 9, 9), 1e5, np.float32)
    (found,) = check_gates(sample(x), converted(9, 9, FP16), FP16)
    assert "NaN or infinite" in found.reason


def network(dtype: ir.DataType | None = None) -> ir.Model:
    graph = block()
    if dtype is not None:
        to_half(graph, dtype)
    return graph


def plain(graph: ir.Model) -> ir.Model:
    lower_portable(graph)
    return graph


FEEDS = {"x": draw(1, 4, 9, 9)}


def checks(candidate: ir.Model, dtype: ir.DataType = FP16) -> tuple[GateCheck, ...]:
    return check_gates(record_sites(plain(network()), FEEDS), candidate, dtype)


@pytest.mark.parametrize("dtype", [FP16, BF16], ids=NAMES.get)
def test_every_site_of_a_network_passes(dtype):
    found = checks(plain(network(dtype)), dtype)
    assert len(found) == 3
    assert all(check.passed for check in found)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_lambda_ten_times_off(which):
    graph = network(FP16)
    node = [n for n in graph.graph if n.op_type == "SimAM"][which]
    wrong = 10 * node.attributes["e_lambda"].as_float()
    node.attributes["e_lambda"] = ir.AttrFloat32("e_lambda", wrong)
    found = checks(plain(graph))
    assert [check.passed for check in found] == [i != which for i in range(3)]
    assert "lambda" in found[which].reason


def test_an_island_left_in_half():
    """Nothing overflows here: seen by what it rounds too much."""
    graph = network(FP16)
    lower_portable(graph)
    kept = {n.name for n in graph.graph}
    _halve_first_island(graph)
    assert kept == {n.name for n in graph.graph}
    found = checks(graph)
    assert [check.passed for check in found] == [False, True, True]


def _halve_first_island(graph: ir.Model) -> None:
    """Let the first site's Cast go to float16, and its nodes and constants be float16 too."""
    island = [n for n in graph.graph if (n.name or "").startswith("first/")]
    cast = island[0].inputs[0].producer()
    cast.attributes["to"] = ir.AttrInt64("to", FP16)
    cast.outputs[0].type = ir.TensorType(FP16)
    for node in island:
        node.outputs[0].type = ir.TensorType(FP16)
        for index, value in enumerate(node.inputs):
            if value.is_initializer() and value.dtype == ir.DataType.FLOAT:
                half = ir.tensor(value.const_value.numpy().astype(np.float16))
                name = f"{value.name}/half"
                if name not in graph.graph.initializers:
                    graph.graph.register_initializer(
                        ir.Value(
                            name=name,
                            shape=value.shape,
                            type=ir.TensorType(FP16),
                            const_value=half,
                        )
                    )
                node.replace_input_with(index, graph.graph.initializers[name])


def test_a_missing_site_fails_them_all():
    graph = network(FP16)
    node = next(n for n in graph.graph if n.op_type == "SimAM")
    node.outputs[0].replace_all_uses_with(node.inputs[0])
    graph.graph.remove(node, safe=True)
    found = checks(plain(graph))
    assert not any(check.passed for check in found)
    assert "2 SimAM sites, 3 were expected" in found[0].reason


@pytest.mark.parametrize("scale", [1e-3, 1e-6, 1e-30])
@pytest.mark.parametrize("dtype", [FP16, BF16], ids=NAMES.get)
def test_a_faint_map_is_judged_as_any_other(dtype, scale):
    """As untrained networks have them; a wrong lambda and a half island are told all the same."""
    faint = sample((scale * planes("std 1", 9, 9)).astype(np.float32))
    (ours,) = check_gates(faint, converted(9, 9, dtype), dtype)
    assert ours.passed, ours
    assert ours.error_ulps > 0.3
    (half,) = check_gates(faint, naive(9, 9, dtype), dtype)
    assert not half.passed
    (wrong,) = check_gates(faint, naive(9, 9, dtype, e_lambda=1e-3), dtype)
    assert not wrong.passed


def test_a_zero_sample_proves_nothing():
    (found,) = check_gates(sample(np.zeros((1, 4, 9, 9), np.float32)), converted(9, 9, FP16), FP16)
    assert not found.passed


def test_a_network_without_simam_is_refused():
    graph = model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[1,4,9,9] x) => (float[1,4,9,9] y)'
        "{ y = Relu(x) }"
    )
    with pytest.raises(InputError, match="no SimAM"):
        record_sites(graph, FEEDS)


FP32 = ir.DataType.FLOAT


def in_float32(height: int, width: int, lower=lower_portable, e_lambda: float = 1e-4) -> ir.Model:
    graph = simam_model(f"1,4,{height},{width}", 22, e_lambda)
    lower(graph)
    return graph


@pytest.mark.parametrize("lower", [lower_portable, lower_instance_norm])
@pytest.mark.parametrize("kind", [*KINDS, "mean 1000"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_float32_is_judged_by_its_own_unit(size, kind, lower):
    x = 1000 + planes("std 1", *size) if kind == "mean 1000" else planes(kind, *size)
    (found,) = check_gates(sample(x), in_float32(*size, lower), FP32)
    assert found.passed, found
    assert found.error_ulps > 0
    # Near zero the bound is some ten units: 1e-6 of a gate.
    assert kind.startswith("mean") or found.allowed_ulps < 60
    (half,) = check_gates(sample(x), converted(*size, FP16), FP32)
    assert not half.passed


def test_one_recorder_and_one_checker_serve_many_inputs():
    draws = [draw(1, 4, 9, 9), 5 * draw(1, 4, 9, 9), np.zeros((1, 4, 9, 9), np.float32)]
    with (
        SiteRecorder(plain(network())) as recorder,
        GateChecker(plain(network(FP16)), FP16) as checker,
    ):
        each = [checker.check(recorder.record({"x": x})) for x in draws]
    assert each[0] == checks(plain(network(FP16)))
    assert [worst_of(site).passed for site in zip(*each, strict=True)] == [True] * 3


def made(error: float, reason: str = "", **fields) -> GateCheck:
    facts = {"gate": (0.63, 0.9), "expected": (0.63, 0.9), "cosine": 1.0, "collapsed": 0.0}
    return GateCheck("s", **{**facts, **fields}, error_ulps=error, allowed_ulps=0.55, reason=reason)


def test_the_worst_of_several_inputs():
    found = worst_of([made(0.4, gate=(0.62, 0.8), cosine=0.9), made(0.5, collapsed=0.1)])
    assert (found.error_ulps, found.gate, found.cosine, found.collapsed) == (
        0.5, (0.62, 0.9), 0.9, 0.1,
    )  # fmt: skip
    assert not worst_of([made(0.5), made(float("nan"), "3 values NaN")]).passed
    assert worst_of([made(0.5), made(0.4, "lambda is 1")]).reason == "lambda is 1"


def test_a_map_of_zeros_counts_only_where_all_are():
    nothing = made(float("nan"), NOTHING_SHOWN)
    assert worst_of([nothing, made(0.5)]).passed
    assert not worst_of([nothing, nothing]).passed


def test_sites_of_the_same_names_are_paired_by_name():
    samples = record_sites(plain(network()), FEEDS)
    found = check_gates(samples[::-1], plain(network(FP16)), FP16)
    assert [check.name for check in found] == ["third", "second", "first"]
    assert all(check.passed for check in found)


def test_maps_of_another_shape_fail_with_the_reason():
    found = check_gates(sample(planes("std 1", 9, 9)), converted(7, 7, FP16), FP16)
    assert "fails on this input" in found[0].reason
