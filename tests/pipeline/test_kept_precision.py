"""An .onnx that is exported again in the precision that it has: told, kept and judged by it."""

import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy import InputError, OnnxOptions, ValidationError, export_onnx, validate_models
from simam_deploy.graph import prepare
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower import portable
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.graph.sites import simam_nodes
from tests.graph.onnx_text import model


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


WEIGHTS = {f"w{i}": drawn(i, 4, 4, 3, 3) / 6 for i in (1, 2)}
STEPS = {f"s{i}": np.abs(w).reshape(4, -1).max(1) / 127 for i, w in enumerate(WEIGHTS.values(), 1)}
STORED = {
    f"q{i}": np.rint(w / STEPS[f"s{i}"].reshape(4, 1, 1, 1)).astype(np.int8)
    for i, w in enumerate(WEIGHTS.values(), 1)
}
ZEROS = {"zs": np.zeros(4, np.int8), "z": np.int8(0), "s": np.float32(4 / 127)}
INTEGER = {**STEPS, **STORED, **ZEROS}
SITE = "[site] d = simam.SimAM<e_lambda = 0.1>(c)"
PADS = "<pads = [1, 1, 1, 1]>"
FLOAT_CONV = f"c = Conv{PADS}(x, w1)"


def dequantised(i: int) -> str:
    return f"d{i} = DequantizeLinear<axis = 0>(q{i}, s{i}, zs)"


def pair(name: str) -> str:
    return f"{name}8 = QuantizeLinear({name}, s, z) {name}p = DequantizeLinear({name}8, s, z)"


FORMS = {
    "Q/DQ": f"""{pair("x")} {dequantised(1)} c = Conv{PADS}(xp, d1) {SITE}
        {pair("d")} {dequantised(2)} y = Conv{PADS}(dp, d2)""",
    "one layer of two": f"{FLOAT_CONV} {SITE} {pair('d')} {dequantised(2)} y = Conv{PADS}(dp, d2)",
    "weights alone": f"""{dequantised(1)} c = Conv{PADS}(x, d1) {SITE}
        {dequantised(2)} y = Conv{PADS}(d, d2)""",
    "QLinear": f"""x8 = QuantizeLinear(x, s, z) c8 = QLinearConv{PADS}(x8, s, z, q1, s1, zs, s, z)
        c = DequantizeLinear(c8, s, z) {SITE} d8 = QuantizeLinear(d, s, z)
        y8 = QLinearConv{PADS}(d8, s, z, q2, s2, zs, s, z) y = DequantizeLinear(y8, s, z)""",
    "integer": f"""x8, sx, zx = DynamicQuantizeLinear(x) i = ConvInteger{PADS}(x8, q1, zx, z)
        f = Cast<to = 1>(i) c = Mul(f, sx) {SITE} y = Conv{PADS}(d, w2)""",
    "Microsoft's": f"""{FLOAT_CONV} {SITE} e8 = com.microsoft.QuantizeLinear(d, s, z)
        e = com.microsoft.DequantizeLinear(e8, s, z) y = Conv{PADS}(e, w2)""",
}


def graph_of(body: str, arrays: dict[str, np.ndarray], kind: str = "float") -> ir.Model:
    """A network with one SimAM in plain ops, on maps of 9x9."""
    graph = model(
        f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1, "com.microsoft" : 1]>
        g ({kind}[n,4,9,9] x) => ({kind}[n,4,9,9] y) <{kind}[n,4,9,9] c, {kind}[n,4,9,9] d>
        {{ {body} }}""",
        **{name: array for name, array in arrays.items() if name in body.replace("(", ", ")},
    )
    lower_portable(graph)
    return graph


def file_of(folder, body, arrays=None, kind="float"):
    path = folder / "source.onnx"
    write_model(graph_of(body, {**WEIGHTS, **INTEGER} if arrays is None else arrays, kind), path)
    return path


def constants(path):
    """The quantised weights of a file, by content: a pass may rename them."""
    found = onnx.load(path).graph.initializer
    return sorted(t.raw_data for t in found if t.data_type == onnx.TensorProto.INT8 and t.dims)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lowering", ["portable", "instancenorm"])
def test_a_quantised_file_is_int8_and_judged_as_such(form, lowering, tmp_path):
    source = file_of(tmp_path, FORMS[form])
    artifact = export_onnx(source, tmp_path / "out.onnx", OnnxOptions(lowering=lowering))
    assert artifact.precision == "int8"
    report = artifact.validation
    assert report.precision == "int8"
    assert min(r.allowed for r in report.results) >= 2**-6  # four steps of eight bits
    assert [gate.passed for gate in report.gates] == [True]
    assert constants(artifact.path) == constants(source)


@pytest.mark.parametrize("form", FORMS)
def test_a_quantised_candidate_of_any_form_is_judged_gate_by_gate(form, tmp_path):
    write_model(graph_of(f"{FLOAT_CONV} {SITE} y = Conv{PADS}(d, w2)", WEIGHTS),
                tmp_path / "float32.onnx")  # fmt: skip
    report = validate_models(tmp_path / "float32.onnx", file_of(tmp_path, FORMS[form]))
    assert report.candidate.precision == "int8"
    assert [gate.passed for gate in report.gates] == [True]
    assert report.validation.precision == "int8"


def test_what_the_wide_bound_of_int8_would_hide_is_found_at_its_gate(tmp_path, monkeypatch):
    """A lambda that is off by a hundredth changes the outputs by less than four steps."""

    def wrong(graph: ir.Model) -> int:
        for node in simam_nodes(graph):
            e_lambda = node.attributes["e_lambda"].as_float()
            node.attributes["e_lambda"] = ir.AttrFloat32("e_lambda", 1.01 * e_lambda)
        return lower_portable(graph)

    source = file_of(tmp_path, FORMS["Q/DQ"])
    monkeypatch.setattr(portable, "lower_portable", wrong)
    with pytest.raises(ValidationError, match="the gate of SimAM site: lambda is 0.101"):
        export_onnx(source, tmp_path / "out.onnx")
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["out.failed.json", "source.onnx"]
    report = json.loads((tmp_path / "out.failed.json").read_text())
    assert all(result["passed"] for result in report["results"])


def test_a_weight_that_is_not_kept_fails(tmp_path, monkeypatch):
    """Planted among the graph's passes: a layer's steps are halved."""

    def wrong(graph: ir.Model) -> bool:
        weight = graph.graph.initializers["q1"]
        weight.const_value = ir.tensor(weight.const_value.numpy() // 2, name="q1")
        return tidy(graph)

    source = file_of(tmp_path, FORMS["Q/DQ"])
    monkeypatch.setattr(prepare, "tidy", wrong)
    with pytest.raises(ValidationError, match="output y of case"):
        export_onnx(source, tmp_path / "out.onnx")


def test_it_is_not_made_int8_again(tmp_path):
    source = file_of(tmp_path, FORMS["weights alone"])
    with pytest.raises(InputError, match="is int8 already"):
        export_onnx(source, tmp_path / "out.onnx", OnnxOptions(precision="fp16"))
    assert export_onnx(source, tmp_path / "out.onnx").precision == "int8"


HALF = f"h = Cast<to = 10>(x) f = Conv{PADS}(h, w1) c = Cast<to = 1>(f) {SITE} y = Identity(d)"


@pytest.mark.parametrize("constants_as", ["initializers", "nodes"])
def test_a_half_file_is_told_by_what_it_computes(constants_as, tmp_path):
    """Also where its weights are Constant nodes, and its ends float32."""
    graph = graph_of(HALF, {"w1": WEIGHTS["w1"].astype(np.float16)})
    if constants_as == "nodes":
        weight = graph.graph.initializers.pop("w1")
        node = ir.node("Constant", [], attributes={"value": weight.const_value})
        weight.replace_all_uses_with(node.outputs[0])
        node.outputs[0].name = "w1"
        graph.graph.insert_before(graph.graph[0], node)
    write_model(graph, tmp_path / "half.onnx")
    artifact = export_onnx(tmp_path / "half.onnx", tmp_path / "out.onnx")
    assert (artifact.precision, artifact.validation.precision) == ("fp16", "fp16")


def test_a_fused_lowering_of_a_file_with_scales(digits, tmp_path):
    """Our int8 files have scales whose names an epilogue's would be."""
    from train_digits import split

    np.save(tmp_path / "x.npy", split()[0].numpy()[:32])
    made = export_onnx(
        digits,
        tmp_path / "int8.onnx",
        OnnxOptions(precision="int8", calibration_data=tmp_path / "x.npy"),
    )
    again = export_onnx(made.path, tmp_path / "again.onnx", OnnxOptions(lowering="function"))
    assert (again.precision, len(again.validation.gates)) == ("int8", 9)
    assert len(read_model(again.path).functions) > 0
