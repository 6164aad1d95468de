"""One model against another: what is right passes, and every planted fault is found and named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy import (
    InputError,
    NetworkOptions,
    OnnxOptions,
    UsageError,
    ValidationError,
    export_onnx,
)
from simam_deploy.cli.validate import main
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.precision.half.half import to_half
from simam_deploy.source.subject import take_sites
from simam_deploy.verify.bisect import convert
from simam_deploy.verify.tolerance import CONVERTED, Tolerance
from tests.graph.onnx_text import model
from tests.marks import slow
from tests.precision.half.graphs import BF16, FP16

DTYPES = {"fp16": FP16, "bf16": BF16}


@pytest.fixture(scope="module")
def float32(digits_onnx):
    return digits_onnx


def halved(float32: Path, file: Path, dtype: ir.DataType = FP16) -> Path:
    write_model(convert(read_model(float32), dtype, ()), file)
    return file


def edited(float32: Path, file: Path, edit: Callable[[ir.Model], None]) -> Path:
    """A float16 conversion that `edit` has spoilt."""
    graph = convert(read_model(float32), FP16, ())
    edit(graph)
    write_model(graph, file)
    return file


def test_a_checkpoint_against_its_export(digits, float32):
    report = validate_models(digits, float32)
    assert report.passed, report.failures
    assert (report.reference.precision, report.candidate.precision) == ("fp32", "fp32")
    assert [check.name for check in report.gates][:2] == ["layer1.0.conv2.1", "layer1.1.conv2.1"]
    assert len(report.gates) == 9
    assert {result.case for result in report.validation.results} >= {"large 1x3x32x32"}
    assert report.departure is None
    assert report.gates_shown


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_conversion_against_its_original(dtype, float32, tmp_path):
    report = validate_models(float32, halved(float32, tmp_path / "half.onnx", DTYPES[dtype]))
    assert report.passed, report.failures
    assert report.candidate.precision == report.validation.precision == dtype
    # Half a unit is the rounding of y: it is reached, which shows that it was run rounded.
    assert all(0.4 < check.error_ulps < 0.55 for check in report.gates)
    assert report.validation.worst.max_rel > 1e-4


def test_fused_nodes_are_judged_by_the_published_ops(digits, float32, tmp_path):
    fused = export_onnx(digits, tmp_path / "fused.onnx", onnx=OnnxOptions(lowering="function")).path
    report = validate_models(float32, fused)
    assert report.passed, report.failures
    assert len(report.gates) == 9
    assert any("node of its own" in note for note in report.notes)


def zero_weight(which: int) -> Callable[[ir.Model], None]:
    def edit(graph: ir.Model) -> None:
        weight = [n for n in graph.graph if n.op_type in ("Conv", "Gemm")][which].inputs[1]
        zeros = np.zeros_like(weight.const_value.numpy())
        weight.const_value = ir.tensor(zeros, name=weight.name)

    return edit


def swap_channels(which: int) -> Callable[[ir.Model], None]:
    def edit(graph: ir.Model) -> None:
        weight = [n for n in graph.graph if n.op_type == "Conv"][which].inputs[1]
        array = weight.const_value.numpy().copy()
        array[[0, 1]] = array[[1, 0]]
        weight.const_value = ir.tensor(array, name=weight.name)

    return edit


def drop_cast(graph: ir.Model) -> None:
    """The first island then begins in half, whose constants are float32."""
    sub = next(n for n in graph.graph if n.op_type == "Sub")
    cast = sub.inputs[0].producer()
    assert cast.op_type == "Cast"
    cast.outputs[0].replace_all_uses_with(cast.inputs[0])
    graph.graph.remove(cast, safe=True)


def halve_island(graph: ir.Model) -> None:
    """What a converter without a block list makes of a site: all in half, and valid."""
    site = "layer1.1.conv2.1/"
    island = [n for n in graph.graph if (n.name or "").startswith(site)]
    cast = next(v.producer() for v in island[0].inputs if v.producer())
    _retype(cast)
    for node in island:
        node.outputs[0].type = ir.TensorType(FP16)
        for index, value in enumerate(node.inputs):
            if value.is_initializer() and value.dtype == ir.DataType.FLOAT:
                node.replace_input_with(index, _half_constant(graph, value))


def _retype(cast: ir.Node) -> None:
    assert cast.op_type == "Cast"
    cast.attributes["to"] = ir.AttrInt64("to", FP16)
    cast.outputs[0].type = ir.TensorType(FP16)


def _half_constant(graph: ir.Model, value: ir.Value) -> ir.Value:
    name = f"{value.name}/half"
    if name not in graph.graph.initializers:
        half = ir.tensor(value.const_value.numpy().astype(np.float16))
        kind = ir.TensorType(FP16)
        new = ir.Value(name=name, shape=value.shape, type=kind, const_value=half)
        graph.graph.register_initializer(new)
    return graph.graph.initializers[name]


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        pytest.param(zero_weight(0), "at the map of layer1.0.conv2.1", id="first weight zeroed"),
        pytest.param(
            *(zero_weight(7), "at the map of layer2.0.conv2.1"),
            marks=pytest.mark.slow,
            id="a weight zeroed",
        ),
        pytest.param(zero_weight(-1), "behind the last SimAM", id="last weight zeroed"),
        pytest.param(
            *(swap_channels(0), "at the map of layer1.0.conv2.1"),
            marks=pytest.mark.slow,
            id="first channels swapped",
        ),
        pytest.param(swap_channels(12), "at the map of layer2.2.conv2.1", id="channels swapped"),
        pytest.param(halve_island, "1 of 9 gates: layer1.1.conv2.1", id="island in half"),
        pytest.param(drop_cast, "layer1.0.conv2.1/", id="cast dropped"),
    ],
)
def test_a_planted_fault_is_exit_3_and_named(edit, place, float32, tmp_path, capsys):
    bad = edited(float32, tmp_path / "bad.onnx", edit)
    assert main([str(float32), str(bad), "-q"]) == 3
    streams = capsys.readouterr()
    assert place in streams.err
    assert streams.err.count("\n") == 1


def test_a_fault_between_sites_names_the_layer(float32, tmp_path):
    bad = edited(float32, tmp_path / "bad.onnx", zero_weight(7))
    spoilt = [n for n in convert(read_model(float32), FP16, ()).graph if n.op_type == "Conv"][7]
    report = validate_models(float32, bad)
    assert all(check.passed for check in report.gates)
    assert spoilt.name in report.departure.suspects
    assert report.departure.here > 100 * report.departure.before


def test_rounding_that_grows_is_no_departure(float32, tmp_path, monkeypatch):
    """Outputs that fail for their bound alone are blamed on no place."""
    monkeypatch.setitem(CONVERTED, "fp16", Tolerance(factor=0, floor=1e-5, cap=1e-5))
    report = validate_models(float32, halved(float32, tmp_path / "half.onnx"))
    assert not report.validation.passed
    assert report.departure is None


@pytest.mark.parametrize("which", [4, *slow([0, 8])])
def test_lambda_ten_times_off(which, float32, tmp_path, capsys):
    graph = typed(take_sites(read_model(float32), "digits").model)
    to_half(graph, FP16)
    node = simam_nodes(graph)[which]
    node.attributes["e_lambda"] = ir.AttrFloat32("e_lambda", 1e-3)
    lower_portable(graph)
    write_model(graph, tmp_path / "bad.onnx")
    assert main([str(float32), str(tmp_path / "bad.onnx"), "-q"]) == 3
    says = f"1 of 9 gates: {node.name}: lambda is 0.001, the float32 network has 0.0001"
    assert says in capsys.readouterr().err


def test_a_missing_site_fails(float32, tmp_path):
    def remove(graph: ir.Model) -> None:
        y = next(n for n in graph.graph if n.name == "layer3.2.conv2.1/Mul_1")
        y.outputs[0].replace_all_uses_with(y.inputs[0])

    report = validate_models(float32, edited(float32, tmp_path / "bad.onnx", remove))
    assert "8 SimAM sites, 9 were expected" in " ".join(report.failures)


def test_swapped_arguments(float32, tmp_path, capsys):
    half = halved(float32, tmp_path / "half.onnx")
    assert main([str(half), str(float32), "-q"]) == 2
    error = capsys.readouterr().err
    assert "half.onnx, the reference, is fp16" in error
    assert "digits.onnx is fp32: swap them" in error


def rewritten(source: Path, file: Path, edit: Callable[[onnx.ModelProto], None]) -> Path:
    proto = onnx.load(source)
    edit(proto)
    onnx.save(proto, file)
    return file


def test_other_names_are_matched_by_position(float32, tmp_path):
    def rename(proto: onnx.ModelProto) -> None:
        for node in proto.graph.node:
            node.input[:] = ["picture" if name == "input" else name for name in node.input]
            node.output[:] = ["scores" if name == "logits" else name for name in node.output]
        proto.graph.input[0].name, proto.graph.output[0].name = "picture", "scores"

    report = validate_models(float32, rewritten(float32, tmp_path / "named.onnx", rename))
    assert report.passed, report.failures
    notes = " ".join(report.notes)
    assert "inputs matched by position: input against picture" in notes
    assert "outputs matched by position: logits against scores" in notes


def test_half_inputs_and_outputs_are_cast(float32, tmp_path):
    graph = typed(read_model(float32))
    to_half(graph, FP16, keep_io=False)
    write_model(graph, tmp_path / "half.onnx")
    report = validate_models(float32, tmp_path / "half.onnx")
    assert report.passed, report.failures
    assert report.candidate.inputs[0].dtype == "float16"
    assert any("rounded to it" in note for note in report.notes)


def test_an_output_that_is_missing_or_of_another_shape_fails(float32, tmp_path):
    def widen(proto: onnx.ModelProto) -> None:
        last = next(node for node in proto.graph.node if "logits" in node.output)
        last.output[:] = ["narrow"]
        proto.graph.node.append(onnx.helper.make_node("Concat", ["narrow"] * 2, ["logits"], axis=1))
        proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 20

    report = validate_models(float32, rewritten(float32, tmp_path / "wide.onnx", widen))
    assert "shape (1, 20), expected (1, 10)" in report.failures[0]

    def another(proto: onnx.ModelProto) -> None:
        proto.graph.node.append(onnx.helper.make_node("Identity", ["logits"], ["more"]))
        more = proto.graph.output.add()
        more.CopyFrom(proto.graph.output[0])
        more.name = "more"

    two = rewritten(float32, tmp_path / "two.onnx", another)
    report = validate_models(two, float32)
    assert "output more of case" in report.failures[0]
    assert "output missing" in report.failures[0]
    report = validate_models(float32, two)
    assert report.passed
    assert "the candidate has 1 more outputs" in report.notes


def test_another_input_is_refused(digits, float32, tmp_path):
    small = export_onnx(
        digits, tmp_path / "small.onnx", network=NetworkOptions(input_shape=(3, 16, 16))
    ).path
    with pytest.raises(InputError, match=r"do not take the same input: .* 32 .* against .* 16"):
        validate_models(float32, small)
    assert validate_models(digits, small).passed


def test_a_network_of_other_channels_is_refused(digits, tmp_path):
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,1,8,8] x) => (float[n,1,8,8] y) { y = Relu(x) }"""
    )
    onnx.save(proto, tmp_path / "relu.onnx")
    with pytest.raises(UsageError, match=r"relu\.onnx takes x float32 n x 1 x 8 x 8"):
        validate_models(digits, tmp_path / "relu.onnx")


def test_no_simam_in_the_candidate_fails_every_gate(float32, tmp_path):
    linear = model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,3,32,32] input) => (float[n,10] logits) <int64[2] axes = {2, 3}>
        { m = ReduceMean<keepdims = 0>(input, axes) logits = MatMul(m, w) }""",
        w=np.ones((3, 10), np.float32),
    )
    write_model(linear, tmp_path / "linear.onnx")
    report = validate_models(float32, tmp_path / "linear.onnx")
    assert len(report.failures) == 2
    assert "0 SimAM sites, 9 were expected" in report.failures[0]


@pytest.mark.parametrize("place", ["reference", "candidate"])
def test_a_file_that_is_no_model(place, float32, tmp_path, capsys):
    (tmp_path / "no.onnx").write_bytes(b"<html>not found</html>")
    pair = [str(float32), str(tmp_path / "no.onnx")]
    assert main([*(reversed(pair) if place == "reference" else pair), "-q"]) == 1
    error = capsys.readouterr().err
    assert "no ONNX model" in error
    assert error.count("\n") == 1


def test_nan_in_the_outputs_fails_and_json_stays_strict(float32, tmp_path):
    def poison(graph: ir.Model) -> None:
        weight = next(n for n in graph.graph if n.op_type == "Gemm").inputs[1]
        array = np.full_like(weight.const_value.numpy(), np.nan)
        weight.const_value = ir.tensor(array, name=weight.name)

    report = validate_models(float32, edited(float32, tmp_path / "nan.onnx", poison))
    assert all("NaN or infinite" in failure for failure in report.failures)
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["passed"] is False
    assert document["validation"]["results"][0]["max_rel"] is None
    assert report.departure.site == ""
    assert document["departure"]["here"] is None


def test_what_no_runtime_takes_is_a_failure(float32, tmp_path):
    def misfit(graph: ir.Model) -> None:
        relu = next(n for n in graph.graph if n.op_type == "Relu")
        relu.op_type = "Not"

    with pytest.raises(ValidationError, match=r"bad\.onnx: no valid graph.*op_type:Not"):
        validate_models(float32, edited(float32, tmp_path / "bad.onnx", misfit))
