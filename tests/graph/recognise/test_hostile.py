"""Graphs that are wrong, huge, or meant to do harm: no traceback, no hang, little memory."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.errors import InputError
from simam_deploy.graph.recognise import Findings, recognise, to_nodes
from tests.graph.recognise.formula import CONSTANTS, checked, formula, parsed

X, Y = "float[2, 4, 56, 56] x", "float[2, 4, 56, 56] y"
WORDS = sorted({"Relu", "Concat", "Range", "Tile", "If", "Loop", "Constant", "Shape", "NoSuch"})


def test_a_cyclic_graph() -> None:
    model = formula()
    first, *_, last = model.graph
    first.replace_input_with(0, last.outputs[0])
    assert recognise(model).sites == ()
    assert to_nodes(model) == 0


def test_a_value_cast_to_itself() -> None:
    model = formula(y="p = Mul (x, gate) q = Cast <to = 10> (p) y = Cast <to = 1> (q)")
    *_, product, there, back = model.graph
    there.replace_input_with(0, back.outputs[0])
    back.replace_input_with(0, there.outputs[0])
    assert len(recognise(model).sites) == 1
    assert product.op_type == "Mul"


def test_nodes_in_no_order() -> None:
    """As a converter to fp16 leaves them, its casts at the end."""
    model = formula()
    nodes = list(model.graph)
    model.graph.remove(nodes)
    model.graph.extend(reversed(nodes))
    assert to_nodes(model) == 1
    checked(model)


@pytest.mark.parametrize("seed", range(60))
def test_a_graph_with_anything_out_of_place_is_read_to_its_end(seed: int) -> None:
    chance = random.Random(seed)
    model = formula(
        source="float[n, 4, h, w] x",
        results="float[n, 4, h, w] y",
        constants={"two": "int64 two = {2}", "one": "int64 one = {1}"},
        v="shape = Shape (x) c = Gather (shape, two) e = Mul (c, c) f = Sub (e, one) "
        "g = Cast <to = 1> (f) v = Div (s, g)",
    )
    nodes = list(model.graph)
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    values += [value for node in nodes for value in node.outputs]
    for _ in range(chance.randint(1, 6)):
        node = chance.choice(nodes)
        match chance.randrange(5):
            case 0 if node.inputs:
                index = chance.randrange(len(node.inputs))
                node.replace_input_with(index, chance.choice([*values, None]))
            case 1:
                node.op_type = chance.choice([*WORDS, *(other.op_type for other in nodes)])
            case 2:
                node.domain = chance.choice(["", "simam", "com.microsoft"])
            case 3:
                name = chance.choice(["axes", "keepdims", "to", "start", "epsilon", "e_lambda"])
                numbers = [chance.randint(-9, 9) for _ in range(chance.randrange(4))]
                node.attributes[name] = ir.AttrInt64s(name, numbers)
            case _:
                dims = [chance.choice([-1, 0, 1, 2**40, "h", None]) for _ in range(3)]
                chance.choice(values).shape = ir.Shape(dims)
    findings = recognise(model)
    assert isinstance(findings, Findings)
    assert to_nodes(model, findings) <= len(nodes)


def test_deep_nesting_is_bounded() -> None:
    text = "y = Identity (x)"
    for level in range(30):
        text = (
            f"y = If (c{level}) < then_branch = a () => (y) {{ {text} }}, "
            f"else_branch = b () => (y) {{ y = Neg (x) }} >"
        )
    flags = ", ".join(f"bool c{level}" for level in range(30))
    model = parsed(f"({X}, {flags}) => ({Y}) {{ {text} }}")
    assert recognise(model) == Findings((), ())


def test_shape_arithmetic_cannot_be_made_to_allocate() -> None:
    """8 TB of zeros, were they computed."""
    stored = f"{', '.join(CONSTANTS.values())}, int64[1] many = {{1000000000000}}"
    text = """
        zeros = ConstantOfShape (many) more = Add (zeros, one) v = ReduceSum (more)
        counted = Range (start, limit, delta) m = ReduceSum (counted) y = Mul (x, v)
    """
    stored += ", int64 start = {0}, int64 limit = {1000000000000}, int64 delta = {1}"
    assert recognise(parsed(f"({X}) => ({Y}) <{stored}> {{ {text} }}")) == Findings((), ())


def test_weights_are_not_loaded(tmp_path: Path) -> None:
    source = formula(mean="w = Relu (x) mean = ReduceMean <axes = [2, 3]> (x)")
    weight = ir.Value(name="weight", const_value=ir.tensor(np.ones((64, 1 << 10), np.float32)))
    source.graph.register_initializer(weight)
    source.graph.node(0).replace_input_with(0, weight)
    ir.save(source, tmp_path / "big.onnx", external_data="big.data", size_threshold_bytes=1024)
    (tmp_path / "big.data").unlink()
    model = ir.load(tmp_path / "big.onnx")
    assert len(recognise(model).sites) == 1
    assert to_nodes(model) == 1
    assert isinstance(model.graph.initializers["weight"].const_value, ir.ExternalTensor)


@pytest.mark.parametrize("name", ["n", "lam"])
def test_a_small_constant_that_cannot_be_read_is_an_input_error(tmp_path: Path, name: str) -> None:
    model = formula()
    ir.save(model, tmp_path / "model.onnx", external_data="model.data", size_threshold_bytes=0)
    (tmp_path / "model.data").unlink()
    with pytest.raises(InputError, match=r"^tensor '\w+' cannot be read: .*"):
        recognise(ir.load(tmp_path / "model.onnx"))


def test_an_initializer_that_a_caller_may_replace_is_no_constant() -> None:
    source = f"{X}, float lam"
    for ir_version, sites in ((3, 1), (8, 0)):
        model = formula(source=source)
        model.ir_version = ir_version
        findings = recognise(model)
        assert len(findings.sites) == sites
    assert findings.near_misses[0].reason == "lambda is not one constant"
    checked(model)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17])
def test_any_opset_is_read(opset: int) -> None:
    model = formula(opset=opset, s="s = ReduceSum <axes = [2, 3]> (d2)")
    assert len(recognise(model).sites) == (opset < 13)


def test_a_model_without_an_opset() -> None:
    model = formula()
    model.opset_imports.clear()
    assert recognise(model).sites == ()
