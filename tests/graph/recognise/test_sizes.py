"""Symbolic sizes: n proved from structure, or not accepted."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from simam_deploy.graph.recognise import recognise
from simam_deploy.graph.recognise.sizes import Sizes, readings
from tests.graph.recognise.formula import CONSTANTS, formula, parsed

SOURCE = "float[n, 4, h, w]"
INTEGERS = {
    "i_one": "int64 i_one = {1}",
    "i_two": "int64 i_two = {2}",
    "i_three": "int64 i_three = {3}",
    "i_many": "int64 i_many = {99999999}",
    "v_two": "int64[1] v_two = {2}",
    "v_four": "int64[1] v_four = {4}",
    "v_zero": "int64[1] v_zero = {0}",
    "both": "int64[2] both = {2, 3}",
}
HW = "shape = Shape (x) h = Gather (shape, i_two) w = Gather (shape, i_three) hw = Mul (h, w) "
END = "v = Div (s, nf)"
PROVED = {
    "gathered": HW + "m = Sub (hw, i_one) nf = Cast <to = 1> (m) " + END,
    "added -1": HW + "k = Neg (i_one) m = Add (k, hw) nf = Cast <to = 1> (m) " + END,
    "cast before": HW + "f = Cast <to = 1> (hw) nf = Sub (f, one) " + END,
    "at least one": HW + "k = Sub (hw, i_one) m = Max (k, i_one) nf = Cast <to = 1> (m) " + END,
    "clipped": HW + "k = Sub (hw, i_one) m = Clip (k, i_one) nf = Cast <to = 1> (m) " + END,
    "at most many": HW + "k = Sub (hw, i_one) m = Clip (k, , i_many) nf = Cast <to = 1> (m) " + END,
    "sliced and multiplied": "shape = Shape (x) t = Slice (shape, v_two, v_four) "
    "p = ReduceProd <keepdims = 0> (t) m = Sub (p, i_one) nf = Cast <to = 1> (m) " + END,
    "size over N and C": "shape = Shape (x) size = Size (x) c = Slice (shape, v_zero, v_two) "
    "nc = ReduceProd <keepdims = 0> (c) p = Div (size, nc) m = Sub (p, i_one) "
    "nf = Cast <to = 1> (m) " + END,
    "of the size of d": HW.replace("(x)", "(d)")
    + "m = Sub (hw, i_one) nf = Cast <to = 1> (m) "
    + END,
    "in float64": HW + "m = Sub (hw, i_one) wide = Cast <to = 11> (m) nf = Cast <to = 1> (wide) "
    + END,
    "mean, put right": HW
    + "t = ReduceMean <axes = [2, 3]> (d2) f = Cast <to = 1> (hw) g = Sub (f, one) "
    "c = Div (f, g) v = Mul (t, c)",
}  # fmt: skip
NOT_PROVED = {
    "n = H*W": (HW + "nf = Cast <to = 1> (hw) " + END, "biased variance (n = H*W, not H*W - 1)"),
    "H*H": (
        HW.replace("i_three", "i_two") + "m = Sub (hw, i_one) nf = Cast <to = 1> (m) " + END,
        "n could not be proved: it is not H*W - 1 at every size of the input",
    ),
    "C*H": (
        HW.replace("i_three", "i_one") + "m = Sub (hw, i_one) nf = Cast <to = 1> (m) " + END,
        "n could not be proved: it is not H*W - 1 at every size of the input",
    ),
    "even H only": (
        HW + "a = Div (h, i_two) b = Mul (a, i_two) c = Mul (b, w) m = Sub (c, i_one) "
        "nf = Cast <to = 1> (m) " + END,
        "n could not be proved: it is not H*W - 1 at every size of the input",
    ),
    "constant": (END.replace("nf", "n"), "n = 3135, not H*W - 1"),
    "of the data": (
        "m = ReduceMax (x) nf = Abs (m) " + END,
        "n could not be proved: it is no function of H and W",
    ),
}


def dynamic(v: str, source: str = SOURCE) -> ir.Model:
    constants = INTEGERS
    return formula(source=f"{source} x", results=f"{SOURCE} y", constants=constants, v=v, s=S)


S = "s = ReduceSum (d2, axes)"


@pytest.mark.parametrize("v", PROVED.values(), ids=PROVED)
def test_n_is_proved_however_it_is_computed(v: str) -> None:
    findings = recognise(dynamic(v))
    assert findings.near_misses == ()
    (site,) = findings.sites
    assert site.e_lambda == 0.1
    assert site.shape == ("n", 4, "h", "w")


@pytest.mark.parametrize(("v", "reason"), NOT_PROVED.values(), ids=NOT_PROVED)
def test_n_is_not_accepted_unproved(v: str, reason: str) -> None:
    findings = recognise(dynamic(v))
    assert findings.sites == ()
    assert [miss.reason for miss in findings.near_misses] == [reason]


@pytest.mark.parametrize(
    "source",
    ["float[n, 4, h, h]", "float[1, 4, h, 56]", "float[n, c, h, w]", "float[?, ?, ?, ?]"],
)
def test_any_dimension_may_be_symbolic(source: str) -> None:
    source = source.replace("?", "")
    model = dynamic(PROVED["gathered"], "float[1, 4, 8, 8]")
    names = source[6:-1].replace(" ", "").split(",")
    dims = [int(name) if name.isdigit() else name or None for name in names]
    model.graph.inputs[0].shape = ir.Shape(dims)
    model.graph.outputs[0].shape = None
    (site,) = recognise(model).sites
    assert site.shape == tuple(dims)


def test_an_unknown_rank_proves_nothing() -> None:
    model = dynamic(PROVED["gathered"])
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.shape = None
    findings = recognise(model)
    assert findings.sites == ()
    (miss,) = findings.near_misses
    assert miss.reason == "n could not be proved: the shape of x is unknown"
    assert miss.shape is None


STEM = """
    conv = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (image, weight)
    x = Relu (conv)
"""
FROM_INPUT = """
    shape = Shape (image) h = Gather (shape, i_two) w = Gather (shape, i_three)
    h1 = Sub (h, i_one) w1 = Sub (w, i_one) h2 = Div (h1, i_two) w2 = Div (w1, i_two)
    h3 = Add (h2, i_one) w3 = Add (w2, i_one) hw = Mul (h3, w3) m = Sub (hw, i_one)
    nf = Cast <to = 1> (m) v = Div (s, nf)
"""


def deep(n: str, stem: str = STEM, image: str = "float[n, 3, h, w] image") -> ir.Model:
    """Return SimAM behind a convolution of stride 2, its n computed by `n`."""
    constants = INTEGERS | {"weight": "float[4, 3, 3, 3] weight = {" + "0," * 107 + "0}"}
    return formula(
        source=image,
        results="float[a, 4, b, c] y",
        constants=constants,
        mean=f"{stem} mean = ReduceMean <axes = [2, 3]> (x)",
        v=n,
    )


def test_n_of_the_graph_input_is_proved_at_a_deeper_map() -> None:
    (site,) = recognise(deep(FROM_INPUT)).sites
    assert site.shape == ("n", 4, None, None)


def test_n_of_another_size_is_not() -> None:
    (miss,) = recognise(deep(FROM_INPUT.replace("h3, w3", "h2, w2"))).near_misses
    assert miss.reason == "n could not be proved: it is not H*W - 1 at every size of the input"


CUSTOM = "conv = own.Downsample (image) x = Relu (conv)"


def test_behind_an_unknown_operator_declared_shapes_serve() -> None:
    model = deep(FROM_INPUT, CUSTOM)
    assert recognise(model).near_misses[0].reason == (
        "n could not be proved: the shape of x is unknown"
    )
    conv = next(node for node in model.graph if node.domain == "own").outputs[0]
    conv.type = ir.TensorType(ir.DataType.FLOAT)
    conv.shape = ir.Shape(["n", 4, "((h - 1)//2) + 1", "Max(1, (w - 1)//2 + 1)"])
    (site,) = recognise(model).sites
    assert site.e_lambda == 0.1
    conv.shape = ir.Shape(["n", 4, "h//2", "w//2"])
    assert recognise(model).sites == ()


def test_a_declared_shape_serves_further_on_as_well() -> None:
    model = deep(PROVED["gathered"], CUSTOM)
    relu = next(node for node in model.graph if node.op_type == "Relu").outputs[0]
    relu.type = ir.TensorType(ir.DataType.FLOAT)
    relu.shape = ir.Shape(["n", 4, "h//2", "w//2"])
    (site,) = recognise(model).sites
    assert site.shape == ("n", 4, "h//2", "w//2")


def test_a_size_that_depends_on_data_is_read_as_any_number() -> None:
    """As many regions as a detector finds, of 14 x 14 each."""
    stem = """
        found = NonZero (image) row = Slice (found, v_zero, i_one_v, v_zero) picked = Squeeze (row)
        flat = Flatten (image) x4 = Gather <axis = 0> (flat, picked) x = Reshape (x4, to)
    """
    constants = {
        **INTEGERS,
        "i_one_v": "int64[1] i_one_v = {1}",
        "to": "int64[4] to = {-1, 4, 14, 14}",
        "n": "float n = {195}",
    }
    mean = f"{stem} mean = ReduceMean <axes = [2, 3]> (x)"
    model = formula(
        source="float[8, 784] image",
        results="float[k, 4, 14, 14] y",
        constants=constants,
        mean=mean,
    )
    (site,) = recognise(model).sites
    assert site.shape == (None, 4, 14, 14)


def test_a_network_that_takes_multiples_of_its_stride_is_read_at_those() -> None:
    """A Concat of a map and its upsampled half fits at even sizes only."""
    text = """
        low = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (image)
        back = Resize <mode = "nearest"> (low, , scales)
        x = Concat <axis = 1> (image, back)
    """
    constants = {"scales": "float[4] scales = {1, 1, 2, 2}", **INTEGERS}
    model = formula(
        source="float[n, 2, h, w] image",
        results="float[n, 4, h, w] y",
        constants=constants,
        mean=f"{text} mean = ReduceMean <axes = [2, 3]> (x)",
        v=PROVED["gathered"],
    )
    (site,) = recognise(model).sites
    assert site.e_lambda == 0.1


@pytest.mark.parametrize("reshape", ["to_flat", "zeros", "computed"])
def test_a_flattening_is_proved_at_symbolic_sizes(reshape: str) -> None:
    shapes = {
        "to_flat": "int64[3] to = {-1, 4, 0}",
        "zeros": "int64[3] to = {0, 0, -1}",
        "computed": "int64[1] to_end = {-1}",
    }
    flat = "nc = Slice (sh, v_zero, v_two) to = Concat <axis = 0> (nc, to_end) " * (
        reshape == "computed"
    )
    text = f"""
        sh = Shape (x) {flat} f = Reshape (x, to) mean = ReduceMean <axes = [2]> (f)
        d = Sub (f, mean) d2 = Mul (d, d) s = ReduceSum (d2, v_two)
        h = Gather (sh, i_two) w = Gather (sh, i_three) hw = Mul (h, w) m = Sub (hw, i_one)
        nf = Cast <to = 1> (m) v = Div (s, nf) sum = Add (v, lam) denominator = Mul (sum, four)
        quotient = Div (d2, denominator) energy = Add (quotient, half) gate = Sigmoid (energy)
        p = Mul (f, gate) y = Reshape (p, sh)
    """
    stored = ", ".join({**CONSTANTS, **INTEGERS, "to": shapes[reshape]}.values())
    findings = recognise(parsed(f"({SOURCE} x) => ({SOURCE} y) <{stored}> {{ {text} }}"))
    if reshape == "to_flat":
        assert findings.sites == (), "a third dimension of H makes it (N*W, C, H)"
        return
    (site,) = findings.sites
    assert (site.form, site.x.name, site.y.name) == ("flattened", "x", "y")
    assert site.shape == ("n", 4, "h", "w")


def test_sizes_are_what_expressions_say() -> None:
    sizes = Sizes({"h": 97, "batch size": 2}, 0)
    dims = ir.Shape([3, "h", "(h - 1)//2 + 1", "-h + 100", "max(h, 3)", "batch size", "h % 10"])
    assert sizes.numbers(dims) == (3, 97, 49, 3, 97, 2, 7)
    unknown = ir.Shape([None, "other", "h // 0", "-h", "f(h)", "h**9", "max()", 0, -1, "9" * 300])
    assert all(5 <= number < 120 for number in sizes.numbers(unknown))


def test_every_symbol_has_its_own_number_at_each_reading() -> None:
    graph = dynamic(PROVED["gathered"]).graph
    symbols = [sizes.symbols for sizes in readings(graph)]
    assert all(len(set(numbers.values())) == 3 for numbers in symbols)
    assert len({numbers["h"] for numbers in symbols}) == len(symbols) == 6
    assert all(numbers["h"] * numbers["w"] < 65505 for numbers in symbols)
