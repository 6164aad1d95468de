"""SimAM in odd places, before and after it is made one node."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.recognise import recognise, to_nodes
from simam_deploy.op import contract
from tests.graph.recognise.formula import BASE, CONSTANTS, checked, formula, parsed
from tests.graph.recognise.running import difference, run, written_out

X = "float[2, 4, 56, 56] x"
Y = "float[2, 4, 56, 56] y"
STORED = ", ".join(CONSTANTS.values())


def chain(source: str, result: str, prefix: str) -> str:
    """Return the lines of SimAM from `source` to `result`, all else named after `prefix`."""
    names = {name: f"{prefix}_{name}" for name in BASE} | {"x": source, "y": result}
    return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), " ".join(BASE.values()))


def ops(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


def assert_unchanged_by_to_nodes(model: ir.Model, sites: int) -> None:
    """Replace the sites; names and values of inputs and outputs must stay."""
    before = checked(model)
    x = np.random.default_rng(5).normal(0.5, 1, (2, 4, 56, 56)).astype(np.float32)
    assert to_nodes(model) == sites
    assert model.opset_imports[contract.DOMAIN] == contract.OP_VERSION
    after = checked(model)
    assert [o.name for o in after.graph.output] == [o.name for o in before.graph.output]
    assert [i.name for i in after.graph.input] == [i.name for i in before.graph.input]
    for old, new in zip(run(before, x), run(written_out(model), x), strict=True):
        assert difference(new, old) < 2e-6


def test_the_whole_graph() -> None:
    model = formula()
    (site,) = recognise(model).sites
    assert (site.name, site.form, site.dtype, site.island) == (
        "y",
        "reduce-sum",
        ir.DataType.FLOAT,
        False,
    )
    assert len(site.nodes) == len(BASE)
    assert_unchanged_by_to_nodes(model, 1)
    assert ops(model) == {"SimAM": 1}
    assert set(model.graph.initializers) == {"one", "two", "minus_one", "quarter"}, "unused before"


def test_between_operators_that_stay() -> None:
    lines = chain("a", "b", "s")
    model = parsed(f"({X}) => ({Y}) <{STORED}> {{ a = Relu (x) {lines} y = Neg (b) }}")
    assert_unchanged_by_to_nodes(model, 1)
    assert ops(model) == {"Relu": 1, "SimAM": 1, "Neg": 1}


def test_two_in_a_row() -> None:
    lines = chain("x", "a", "s") + " " + chain("a", "y", "t")
    model = parsed(f"({X}) => ({Y}) <{STORED}> {{ {lines} }}")
    assert [site.y.name for site in recognise(model).sites] == ["a", "y"]
    assert_unchanged_by_to_nodes(model, 2)
    assert ops(model) == {"SimAM": 2}


def test_two_of_one_input_that_has_other_users() -> None:
    lines = chain("x", "a", "s") + " " + chain("x", "b", "t")
    model = parsed(f"({X}) => ({Y}) <{STORED}> {{ {lines} c = Add (a, b) y = Sub (c, x) }}")
    assert_unchanged_by_to_nodes(model, 2)
    assert ops(model) == {"SimAM": 2, "Add": 1, "Sub": 1}


def test_a_result_that_is_an_output_and_is_used() -> None:
    lines = " ".join(BASE.values())
    model = parsed(f"({X}) => ({Y}, float[2, 4, 56, 56] z) <{STORED}> {{ {lines} z = Exp (y) }}")
    assert_unchanged_by_to_nodes(model, 1)
    assert [value.name for value in model.graph.outputs] == ["y", "z"]


@pytest.mark.parametrize("inner", ["d", "d2", "quotient", "energy", "gate"])
@pytest.mark.parametrize("place", ["output", "node"])
def test_an_inner_value_that_is_used_elsewhere_stays(inner: str, place: str) -> None:
    shape = "float[2, 4, 56, 56]"
    if place == "output":
        model = formula(results=f"{Y}, {shape} {inner}")
    else:
        model = formula(results=f"{Y}, {shape} z", more=f"z = Abs ({inner})")
    (site,) = recognise(model).sites
    kept = list(BASE)[: list(BASE).index(inner) + 1]
    assert {node.outputs[0].name for node in site.nodes} == set(BASE) - set(kept)
    assert_unchanged_by_to_nodes(model, 1)
    assert ops(model)["SimAM"] == 1
    assert len(model.graph) == 1 + len(kept) + (place == "node")


def test_a_statistic_that_is_used_elsewhere_stays() -> None:
    model = formula(results=f"{Y}, float[2, 4, 1, 1] v")
    assert_unchanged_by_to_nodes(model, 1)
    assert ops(model) == {"SimAM": 1, "ReduceMean": 1, "Sub": 1, "Mul": 1, "ReduceSum": 1, "Div": 1}


def test_a_gate_alone_is_reported_and_kept() -> None:
    model = formula(results="float[2, 4, 56, 56] gate", y="")
    (site,) = recognise(model).sites
    assert site.gate_only
    assert (site.x.name, site.y.name, site.e_lambda) == ("x", "gate", 0.1)
    assert to_nodes(model) == 0
    assert contract.DOMAIN not in model.opset_imports
    assert len(model.graph) == len(BASE) - 1


def test_a_gate_that_scales_its_map_twice() -> None:
    model = formula(results=f"{Y}, float[2, 4, 56, 56] z", more="z = Mul (gate, x)")
    assert [site.y.name for site in recognise(model).sites] == ["y", "z"]
    assert_unchanged_by_to_nodes(model, 2)
    assert ops(model) == {"SimAM": 2}


def test_a_gate_that_scales_its_map_and_another() -> None:
    model = formula(results=f"{Y}, float[2, 4, 56, 56] z", more="w = Abs (x) z = Mul (gate, w)")
    findings = recognise(model)
    assert [site.y.name for site in findings.sites] == ["y"]
    assert [miss.reason for miss in findings.near_misses] == ["gate of another tensor"]
    assert_unchanged_by_to_nodes(model, 1)
    assert ops(model)["Sigmoid"] == 1


def test_a_node_that_is_simam_already() -> None:
    model = formula()
    to_nodes(model)
    (site,) = recognise(model).sites
    assert (site.form, site.e_lambda, site.x.name, site.y.name) == ("function", 0.1, "x", "y")
    assert site.shape == (2, 4, 56, 56)
    assert to_nodes(model) == 0
    (node,) = model.graph
    node.attributes[contract.LAMBDA_ATTRIBUTE] = ir.AttrFloat32(contract.LAMBDA_ATTRIBUTE, -1.0)
    assert recognise(model).near_misses[0].reason == "lambda = -1, not a finite number from 0 up"
    del node.attributes[contract.LAMBDA_ATTRIBUTE]
    assert recognise(model).near_misses[0].reason == "simam::SimAM without e_lambda"


def test_what_serves_nothing_else_stays_where_it_served_nothing_before() -> None:
    model = formula(more="dead = Exp (d2)")
    to_nodes(model)
    assert ops(model)["Exp"] == 1


BODY = " ".join(BASE.values())
IF = """
    cond = Cast <to = 9> (flag)
    y = If (cond) <
        then_branch = then () => (float[2, 4, 56, 56] t) {{ {body} t = Identity (y) }},
        else_branch = other () => (float[2, 4, 56, 56] e) {{ e = Neg (x) }}
    >
"""
LOOP = """
    go = Cast <to = 9> (flag)
    y = Loop (trips, go, x) <
        body = step (int64 i, bool c, float[2, 4, 56, 56] a)
            => (bool more, float[2, 4, 56, 56] b) {{ more = Identity (c) {body} }}
    >
"""


def test_inside_an_if_it_is_reported_and_left_untouched() -> None:
    text = IF.format(body=chain("x", "y_then", "s")).replace("Identity (y)", "Identity (y_then)")
    model = parsed(f"({X}, float flag) => ({Y}) <{STORED}> {{ {text} }}")
    findings = recognise(model)
    assert findings.sites == ()
    (miss,) = findings.near_misses
    assert miss.reason == "inside If: reported, left untouched"
    assert miss.shape == (2, 4, 56, 56)
    before = checked(model)
    assert to_nodes(model) == 0
    assert checked(model) == before


def test_inside_a_loop_it_is_reported_and_left_untouched() -> None:
    text = LOOP.format(body=chain("a", "b", "s"))
    stored = f"{STORED}, int64 trips = {{2}}"
    model = parsed(f"({X}, float flag) => ({Y}) <{stored}> {{ {text} }}")
    checked(model)
    findings = recognise(model)
    assert findings.sites == ()
    assert [miss.reason for miss in findings.near_misses] == [
        "inside Loop: reported, left untouched"
    ]


def test_a_near_miss_inside_an_if_keeps_its_reason() -> None:
    lines = chain("x", "y_then", "s").replace("s_quotient, half", "s_quotient, one")
    text = IF.format(body=lines).replace("Identity (y)", "Identity (y_then)")
    model = parsed(f"({X}, float flag) => ({Y}) <{STORED}> {{ {text} }}")
    (miss,) = recognise(model).near_misses
    assert miss.reason == "inside If: +1.0 instead of +0.5"


def test_behind_an_if_whose_condition_is_known() -> None:
    """The TorchScript exporter writes squeeze() so; the shape behind it must not be lost."""
    text = """
        shape = Shape (x) one_of = Gather (shape, place) is_one = Equal (one_of, i_one)
        a = If (is_one) <
            then_branch = then () => (t) { t = Squeeze (x) },
            else_branch = other () => (e) { e = Identity (x) }
        >
    """
    stored = f"{STORED}, int64 place = {{1}}, int64 i_one = {{1}}"
    model = parsed(f"({X}) => ({Y}) <{stored}> {{ {text} {chain('a', 'y', 's')} }}")
    assert [site.x.name for site in recognise(model).sites] == ["a"]


def test_in_a_function_it_is_left() -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 13, "own" : 1]>
        g ({X}) => ({Y}) {{ y = own.Attention (x) }}
        <domain: "own", opset_import: ["" : 13]>
        Attention (x) => (y) {{
            axes = Constant <value = int64[2] {{2, 3}}> ()
            n = Constant <value = float {{3135}}> ()
            lam = Constant <value = float {{0.1}}> ()
            four = Constant <value = float {{4}}> ()
            half = Constant <value = float {{0.5}}> ()
            {BODY}
        }}"""
    model = ir.from_onnx_text(text)
    findings = recognise(model)
    assert (findings.sites, findings.near_misses) == ((), ())


def test_a_site_is_named_after_its_module() -> None:
    lines = chain("x", "a", "s") + " " + chain("a", "b", "t") + " " + chain("b", "y", "u")
    model = parsed(f"({X}) => ({Y}) <{STORED}> {{ {lines} }}")
    scopes = {
        "a": "['', 'layer1.conv', 'mul_1']",
        "b": "['', 'layer1.conv', 'mul_9']",
        "y": "['', 'mul']",
    }
    for node in model.graph:
        if node.outputs[0].name in scopes:
            node.metadata_props["pkg.torch.onnx.name_scopes"] = scopes[node.outputs[0].name]
    last = model.graph.outputs[0].producer()
    assert last is not None
    last.name = "/layer2/Mul"
    names = ["layer1.conv", "layer1.conv_2", "layer2"]
    assert [site.name for site in recognise(model).sites] == names
    for damaged in ("[", "('a', 'b')", "[1, 2]", "x" * 5000, "__import__('os')"):
        last.metadata_props["pkg.torch.onnx.name_scopes"] = damaged
        assert recognise(model).sites[-1].name == "layer2"
    to_nodes(model)
    assert [node.name for node in model.graph] == names
    assert [node.metadata_props.get("pkg.torch.onnx.name_scopes") for node in model.graph][:1] == [
        scopes["a"]
    ]


def test_findings_of_another_model_are_refused() -> None:
    model = formula()
    findings = recognise(model)
    to_nodes(model, findings)
    with pytest.raises(ValueError, match="site y is not of this model"):
        to_nodes(model, findings)
