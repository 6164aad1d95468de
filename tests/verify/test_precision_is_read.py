"""A file's precision is read off whatever shows it, bfloat16 as well as float16."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy import InputError, OnnxOptions, export_onnx
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.precision.half.half import to_half
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions
from simam_deploy.verify.candidate import open_candidate
from tests.graph.onnx_text import model, simam_model
from tests.precision.half.graphs import BF16, FP16

HALVES = pytest.mark.parametrize(
    ("precision", "dtype"), [("fp16", FP16), ("bf16", BF16)], ids=["fp16", "bf16"]
)
NAMES = {FP16: "float16", BF16: "bfloat16"}


def graph_of(inputs: str, body: str, **weights: np.ndarray) -> ir.Model:
    head = f'<ir_version: 10, opset_import: ["" : 22]> g ({inputs}) => (float[2] y)'
    return model(f"{head} {{ {body} }}", **weights)


def by_weight(dtype: ir.DataType) -> ir.Model:
    w = np.ones(2, dtype.numpy())
    return graph_of("float[2] x", "wide = Cast<to = 1>(w) y = Mul(x, wide)", w=w)


def by_input(dtype: ir.DataType) -> ir.Model:
    return graph_of(f"{NAMES[dtype]}[2] x", "y = Cast<to = 1>(x)")


def by_cast(dtype: ir.DataType) -> ir.Model:
    return graph_of("float[2] x", f"h = Cast<to = {dtype.value}>(x) y = Cast<to = 1>(h)")


@HALVES
@pytest.mark.parametrize("shown", [by_weight, by_input, by_cast])
def test_what_shows_a_half(shown, precision, dtype, tmp_path):
    write_model(shown(dtype), tmp_path / "m.onnx")
    assert open_candidate(tmp_path / "m.onnx").precision == precision


@pytest.mark.parametrize("cast", [1, 7, 11])
def test_other_casts_show_none(cast, tmp_path):
    """As torch writes them about sizes: to float32, int64 and float64."""
    graph = graph_of("float[2] x", f"c = Cast<to = {cast}>(x) y = Cast<to = 1>(c)")
    write_model(graph, tmp_path / "m.onnx")
    assert open_candidate(tmp_path / "m.onnx").precision == "fp32"


@HALVES
def test_a_source_in_a_half(precision, dtype, tmp_path):
    """It is judged in that type, and making float32 of it is refused."""
    graph = simam_model("1,4,9,9", 22, 1e-4)
    to_half(graph, dtype, keep_io=False)
    lower_portable(graph)
    write_model(graph, tmp_path / "m.onnx")
    assert load_subject(tmp_path / "m.onnx", NetworkOptions()).precision == precision
    with pytest.raises(InputError, match=f"m.onnx is {precision} already"):
        export_onnx(
            tmp_path / "m.onnx", tmp_path / "again.onnx", onnx=OnnxOptions(precision="fp32")
        )
