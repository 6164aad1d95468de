"""`simam inspect`: what a shell sees of it."""

import json
import subprocess
import sys

import onnx
import pytest

from simam_deploy import UsageError, inspect_onnx
from simam_deploy.cli.inspect import main

OFFICIAL = """
    mean = ReduceMean<axes = [2, 3]>(x) d = Sub(x, mean) d2 = Pow(d, two) s = ReduceSum(d2, axes)
    v = Div(s, n) vl = Add(v, lam) q = Mul(vl, four) e = Div(d2, q) g = Add(e, half)
    gate = Sigmoid(g) [backbone_layer1_attention_product] a = Mul(x, gate)
"""
STORED = """int64[2] axes = {2, 3}, float two = {2}, float lam = {0.1}, float four = {4},
    float half = {0.5}, float n = {3135}, float one = {1}, float wrong = {3136}"""


def text(body: str, opset: int = 17) -> onnx.ModelProto:
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {opset}], producer_name: "somebody">
        g (float[n,4,56,56] x) => (float[n,4,56,56] y) <{STORED}> {{ {body} }}"""
    )


@pytest.fixture
def file(tmp_path):
    """A site, and a near miss behind it."""
    near = """m_ = ReduceMean<axes = [2, 3]>(a) d_ = Sub(a, m_) d2_ = Mul(d_, d_)
        s_ = ReduceSum(d2_, axes) v_ = Div(s_, wrong) vl_ = Add(v_, lam) q_ = Mul(vl_, four)
        e_ = Div(d2_, q_) g_ = Add(e_, half) gate_ = Sigmoid(g_) y = Mul(a, gate_)"""
    model = text(f"{OFFICIAL} {near}")
    for key, value in {"simam.mean": "[0.5, 0.25]", "simam.arch": "mine", "author": "me"}.items():
        model.metadata_props.add(key=key, value=value)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_the_table(file, capsys):
    assert main([str(file)]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == str(file)
    words = " ".join(printed.split())
    for part in (
        "opset 17 (IR version 8)",
        "producer somebody",
        "input x float32 n x 4 x 56 x 56",
        "nodes 22: Mul 5,",
        "arch mine",
        "mean 0.5 / 0.25",
        "metadata author = me",
        "SimAM sites: 1",
        "backbone_layer1_attention_product n x 4 x 56 x 56 0.1 reduce-sum - 4.57",
        "near misses: 1 y n x 4 x 56 x 56 biased variance (n = H*W, not H*W - 1)",
        "pow (1)",
        "unused-initializer (1)",
    ):
        assert part in words


def test_json_is_the_only_thing_on_stdout(file):
    command = [sys.executable, "-m", "simam_deploy", "inspect", str(file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["opset"] == 17
    assert document["ops"]["Mul"] == 5
    (site,) = document["sites"]
    assert site == {
        "name": "backbone_layer1_attention_product",
        "shape": ["n", 4, 56, 56],
        "dtype": "float32",
        "e_lambda": 0.1,
        "written_as": "reduce-sum",
        "nodes": 11,
        "epilogue": [],
        "fp16_std": pytest.approx(4.571, abs=1e-3),
        "hazards": [],
    }
    assert [m["reason"] for m in document["near_misses"]] == [
        "biased variance (n = H*W, not H*W - 1)"
    ]
    assert {f["rule"]: f["places"] for f in document["lint"]} == {
        "pow": ["d2"],
        "unused-initializer": ["one"],
    }
    assert document["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["n", 4, 56, 56]}]


def test_a_reader_that_has_seen_enough(file, launch):
    command = [sys.executable, "-m", "simam_deploy", "inspect", str(file)]
    child = launch(command)
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait(timeout=60) == 0


def test_without_any_simam(tmp_path, capsys):
    path = tmp_path / "m.onnx"
    path.write_bytes(text("y = Relu(x)").SerializeToString())
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert "SimAM sites: none" in printed
    assert "near misses: none" in printed


def test_external_data_are_counted(tmp_path, capsys):
    model = text("y = Relu(x)")
    tensor = model.graph.initializer.add(name="e", dims=[1000, 1000], data_type=1)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.data")
    (tmp_path / "w.data").write_bytes(bytes(4_000_000))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    assert inspect_onnx(path).external == {"w.data": 4_000_000}
    assert main([str(path)]) == 0
    assert "+ 4.0 MB in w.data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such file"), (b"", "empty"), (b"PK\x03\x04", "zip archive"), (b"hello", "no ONNX")],
)
def test_bad_files_are_one_line_and_exit_1(content, says, tmp_path, capsys):
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("simam: error: ")
    assert printed.err.count("\n") == 1
    assert says in printed.err


def test_usage_is_exit_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "model" in capsys.readouterr().err


def test_a_single_pixel_is_a_hazard(tmp_path, capsys):
    path = tmp_path / "m.onnx"
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[1,4,1,1] x) => (float[1,4,1,1] y) { y = simam.SimAM<e_lambda = 0.1>(x) }"""
    )
    path.write_bytes(model.SerializeToString())
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert "! H*W = 1: divides by zero" in printed
    assert "no-function-body (1)" in printed


def test_a_real_export(digits, tmp_path, capsys):
    from simam_deploy import export_onnx

    artifact = export_onnx(digits, tmp_path / "d.onnx")
    report = inspect_onnx(artifact.path)
    assert [site.e_lambda for site in report.sites] == [1e-4] * 9
    assert {site.epilogue for site in report.sites} == {("residual",)}
    assert report.near_misses == ()
    assert main([str(artifact.path)]) == 0
    printed = capsys.readouterr().out
    assert "as exported by simam-deploy" in printed
    assert max(map(len, printed.splitlines()[1:])) <= 100


def test_an_unknown_precision_is_a_usage_error(tmp_path):
    onnx.save(text(f"{OFFICIAL} y = Relu(a)"), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="fp16 or bf16; got 'fp8'"):
        inspect_onnx(tmp_path / "m.onnx", precision="fp8")
