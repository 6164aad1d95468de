"""Casts around and inside: what is x, what is y, and in which dtype."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.recognise import recognise, to_nodes
from tests.graph.recognise.formula import checked, formula, in_dtype
from tests.graph.recognise.running import difference, run, written_out

FP32, FP16, BF16 = ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16
WIDE = "wide = Cast <to = 1> (x)"
MEAN = "mean = ReduceMean <axes = [2, 3]> (wide) d = Sub (wide, mean)"

# Where the casts are, the names of x and y, and whether it is an island.
ISLANDS = {
    "all of it": (
        {"mean": f"{WIDE} {MEAN}", "d": "", "y": "p = Mul (wide, gate) y = Cast <to = 10> (p)"},
        "x",
        "y",
    ),
    "the gate": (
        {"mean": f"{WIDE} {MEAN}", "d": "", "y": "g = Cast <to = 10> (gate) y = Mul (x, g)"},
        "x",
        "y",
    ),
    "two casts of one map": (
        {"mean": f"{WIDE} {MEAN}", "d": "",
         "y": "again = Cast <to = 1> (x) p = Mul (again, gate) y = Cast <to = 10> (p)"},
        "x",
        "y",
    ),
    "result wanted wide too": (
        {"mean": f"{WIDE} {MEAN}", "d": "",
         "y": "p = Mul (wide, gate) y = Cast <to = 10> (p) other = Exp (p)"},
        "wide",
        "p",
    ),
    "no cast back": (
        {"mean": f"{WIDE} {MEAN}", "d": "", "y": "p = Mul (wide, gate) y = Cast <to = 11> (p)"},
        "wide",
        "p",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "x", "y"), ISLANDS.values(), ids=ISLANDS)
def test_an_fp32_island_in_a_half_network(steps: dict[str, str], x: str, y: str) -> None:
    model = formula(source="float16[2, 4, 56, 56] x", results="float16[2, 4, 56, 56] y", **steps)
    if "<to = 11>" in steps["y"]:
        model.graph.outputs[0].dtype = ir.DataType.DOUBLE
    (site,) = recognise(model).sites
    assert (site.x.name, site.y.name, site.e_lambda) == (x, y, 0.1)
    assert site.dtype == (FP16 if x == "x" else FP32)
    assert site.island == (x == "x"), "an island has the casts within"
    before = checked(model)
    assert to_nodes(model) == 1
    data = np.random.default_rng(0).normal(0, 2, (2, 4, 56, 56)).astype(np.float16)
    if site.dtype == FP16:
        (old,), (new,) = run(before, data), run(written_out(model), data)
        assert difference(new, old) < 1e-3


def test_a_cast_anywhere_between_makes_an_island() -> None:
    wide = "w = Cast <to = 11> (d2) ws = ReduceSum (w, axes) s = Cast <to = 1> (ws)"
    (site,) = recognise(formula(s=wide)).sites
    assert (site.island, site.x.name, site.y.name) == (True, "x", "y")
    n = "i = Cast <to = 7> (n) m = Cast <to = 1> (i) v = Div (s, m)"
    (site,) = recognise(formula(v=n)).sites
    assert not site.island, "n is no part of the map"


def test_a_product_that_is_an_output_is_y() -> None:
    steps = {"mean": f"{WIDE} {MEAN}", "d": "", "y": "p = Mul (wide, gate) y = Cast <to = 10> (p)"}
    shape = "[2, 4, 56, 56]"
    results = f"float16{shape} y, float{shape} p"
    model = formula(source=f"float16{shape} x", results=results, **steps)
    (site,) = recognise(model).sites
    assert (site.x.name, site.y.name) == ("wide", "p")


def test_a_map_that_is_expanded_begins_there() -> None:
    model = formula(
        source="float[2, 1, 56, 56] one_channel",
        constants={"to": "int64[4] to = {2, 4, 56, 56}"},
        mean="x = Expand (one_channel, to) mean = ReduceMean <axes = [2, 3]> (x)",
    )
    (site,) = recognise(model).sites
    assert site.x.name == "x"


def test_half_precision_throughout_is_no_island() -> None:
    shape = "float[2, 4, 8, 8]"
    for dtype in (FP16, BF16):
        model = formula(
            source=f"{shape} x", results=f"{shape} y", constants={"n": "float n = {63}"}
        )
        (site,) = recognise(in_dtype(model, dtype)).sites
        assert (site.dtype, site.island, site.e_lambda) == (dtype, False, 0.1)


def test_a_cast_to_an_integer_is_the_end_of_it() -> None:
    gate = "g = Sigmoid (energy) i = Cast <to = 7> (g) gate = Cast <to = 1> (i)"
    findings = recognise(formula(gate=gate))
    assert [site.gate_only for site in findings.sites] == [True]
    assert recognise(
        formula(d="r = Sub (x, mean) i = Cast <to = 7> (r) d = Cast <to = 1> (i)")
    ) == (recognise(formula(y="y = Neg (x)", gate="gate = Neg (x)")))
    back = "p = Mul (x, gate) i = Cast <to = 7> (p) y = Cast <to = 1> (i)"
    (site,) = recognise(formula(y=back)).sites
    assert site.y.name == "p"


def test_dropout_in_training_is_the_end_of_it() -> None:
    constants = {"yes": "bool yes = {1}"}
    gate = "g = Sigmoid (energy) gate = Dropout (g, half, yes)"
    (site,) = recognise(formula(gate=gate, constants=constants)).sites
    assert (site.gate_only, site.y.name) == (True, "g")


FLAT = """
    f = Reshape (x, to) mean = ReduceMean <axes = [2]> (f) d = Sub (f, mean) d2 = Mul (d, d)
    s = ReduceSum (d2, axis)
"""


def flattened(y: str, shape: str = "float[2, 4, 56, 56]") -> ir.Model:
    constants = {
        "to": "int64[3] to = {2, 4, 3136}",
        "axis": "int64[1] axis = {2}",
        "back": "int64[4] back = {2, 4, 56, 56}",
        "turned": "int64[4] turned = {2, 4, 28, 112}",
    }
    steps = dict.fromkeys(("d", "d2", "s"), "")
    return formula(results=f"{shape} y", constants=constants, mean=FLAT, y=y, **steps)


def test_flattened_it_is_replaced_with_its_reshapes() -> None:
    model = flattened("p = Mul (f, gate) y = Reshape (p, back)")
    (site,) = recognise(model).sites
    assert (site.form, site.x.name, site.y.name) == ("flattened", "x", "y")
    assert to_nodes(model) == 1
    assert [node.op_type for node in model.graph] == ["SimAM"]


@pytest.mark.parametrize(
    ("y", "shape"),
    [
        ("y = Mul (f, gate)", "float[2, 4, 3136]"),
        ("p = Mul (f, gate) y = Reshape (p, turned)", "float[2, 4, 28, 112]"),
    ],
)
def test_flattened_for_good_it_is_refused(y: str, shape: str) -> None:
    findings = recognise(flattened(y, shape))
    assert findings.sites == ()
    (miss,) = findings.near_misses
    assert miss.reason == "flattened, and the result never (N, C, H, W) again"


def test_flattened_twice() -> None:
    """(N, C, H, W) to (N, C, H*W) to (N*C, H*W)."""
    constants = {
        "to": "int64[3] to = {2, 4, 3136}",
        "again": "int64[2] again = {8, 3136}",
        "axis": "int64[1] axis = {1}",
        "back": "int64[4] back = {2, 4, 56, 56}",
    }
    mean = FLAT.replace("f =", "f3 =").replace("mean =", "f = Reshape (f3, again) mean =")
    y = "p = Mul (f, gate) y = Reshape (p, back)"
    steps = dict.fromkeys(("d", "d2", "s"), "")
    model = formula(constants=constants, mean=mean.replace("[2]", "[1]"), y=y, **steps)
    (site,) = recognise(model).sites
    assert (site.form, site.x.name, site.y.name) == ("flattened", "x", "y")


def test_a_result_that_only_lends_its_type_goes_no_further() -> None:
    y = "p = Mul (x, gate) y = CastLike (mean, p)"
    (site,) = recognise(formula(y=y, opset=15)).sites
    assert site.y.name == "p"


def test_tokens_made_a_map_are_where_it_begins() -> None:
    model = formula(
        source="float[2, 4, 3136] tokens",
        constants={"back": "int64[4] back = {2, 4, 56, 56}"},
        mean="x = Reshape (tokens, back) mean = ReduceMean <axes = [2, 3]> (x)",
    )
    (site,) = recognise(model).sites
    assert site.x.name == "x"


HALVED = """
    f = Flatten <axis = 2> (x) g = Mul (f, {factor}) mean = ReduceMean <axes = [1]> (g)
    d = Sub (g, mean) d2 = Mul (d, d) s = ReduceSum (d2, axis)
"""


def scaled(factor: str, y: str = "p = Mul (f, gate) y = Reshape (p, back)") -> ir.Model:
    constants = {
        "third": "float third = {0.3}",
        "zero": "float zero = {0.0}",
        "axis": "int64[1] axis = {1}",
        "back": "int64[4] back = {2, 4, 56, 56}",
    }
    steps = dict.fromkeys(("d", "d2", "s"), "")
    return formula(constants=constants, mean=HALVED.format(factor=factor), y=y, **steps)


@pytest.mark.parametrize(("factor", "lambda_factor"), [("half", 4.0), ("third", 1 / 0.09)])
def test_a_flattened_map_may_be_scaled_in_the_gate(factor: str, lambda_factor: float) -> None:
    """gate(a x; a^2 lambda) = gate(x; lambda), as the flat lowering writes it with a = 1/2."""
    (site,) = recognise(scaled(factor)).sites
    (plain,) = recognise(formula()).sites
    assert (site.form, site.x.name, site.y.name) == ("flattened", "x", "y")
    assert site.e_lambda == pytest.approx(lambda_factor * plain.e_lambda, rel=1e-6)


def test_a_scaled_map_that_is_gated_itself_is_another_tensor() -> None:
    assert recognise(scaled("half", "p = Mul (g, gate) y = Reshape (p, back)")).sites == ()


def test_a_map_times_zero_is_no_map() -> None:
    assert recognise(scaled("zero")).sites == ()
