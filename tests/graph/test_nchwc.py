"""SimAM's nodes move into blocks where that saves reorders, and nowhere else."""

import onnx
import onnx_ir as ir
import pytest

from simam_deploy.graph.nchwc import take_blocks

OUT = "com.microsoft.nchwc.ReorderOutput<channels = 20, channels_last = 0>"
IN = "com.microsoft.nchwc.ReorderInput<channels_last = 0>"
SIMAM = "simam.SimAM<e_lambda = 0.1>"
JOINED = "simam.SimAMResidualEpilogue<e_lambda = 0.1, clip_min = 0.0, clip_max = 6.0>"


def graph(body):
    return ir.from_proto(
        onnx.parser.parse_model(
            """<ir_version: 8, opset_import: ["" : 18, "simam" : 1, "com.microsoft.nchwc" : 1]>
            g (float[1, 32, 9, 9] a, float[1, 32, 9, 9] b, float[20] s, float[1, 20, 9, 9] r)
              => (float[1, 20, 9, 9] y) {"""
            + body
            + "}"
        )
    )


def nodes(model):
    return [(n.domain, n.op_type, [v.name for v in n.inputs]) for n in model.graph]


def test_the_reorders_around_a_node_go():
    model = graph(f"x = {OUT}(a) z = {SIMAM}(x) w = {IN}(z) c = Relu(w) y = {OUT}(c)")
    assert take_blocks(model, 16) == 2
    assert [op for _, op, _ in nodes(model)] == ["SimAM", "Relu", "ReorderOutput"]
    node = model.graph[0]
    assert (node.domain, node.inputs[0].name) == ("simam.nchwc", "a")
    assert {k: a.value for k, a in node.attributes.items()} == {
        "e_lambda": pytest.approx(0.1), "block": 16, "channels": 20,
    }  # fmt: skip
    assert model.graph[1].inputs[0] is node.outputs[0]
    assert model.graph.opset_imports["simam.nchwc"] == 1


def test_a_residual_comes_from_the_blocks_that_it_was_in():
    model = graph(
        f"x = {OUT}(a) z = {JOINED}(x, s, s, q) w = {IN}(z) c = Relu(w) y = {OUT}(c) q = {OUT}(b)"
    )
    model.graph.sort()
    assert take_blocks(model, 8) == 3
    (node,) = (n for n in model.graph if n.domain == "simam.nchwc")
    assert [v.name for v in node.inputs] == ["a", "s", "s", "b"]


def test_one_whose_result_is_the_next_ones_residual():
    model = graph(
        f"x = {OUT}(a) z = {SIMAM}(x) w = {IN}(z) c = Relu(w) d = {OUT}(c) e = {JOINED}(d, s, s, z)"
        f"f = {IN}(e) g = Relu(f) y = {OUT}(g)"
    )
    assert take_blocks(model, 16) == 4
    first, _, second, *_ = model.graph
    assert second.inputs[3] is first.outputs[0]


@pytest.mark.parametrize(
    "body",
    [
        f"x = {OUT}(a) y = {SIMAM}(x)",  # the result is wanted as it was
        f"x = {OUT}(a) y = {JOINED}(x, s, s, r)",  # so is the residual
        f"z = {SIMAM}(r) w = {IN}(z) c = Relu(w) y = {OUT}(c)",  # it never was in blocks
        f"x = {OUT.replace('last = 0', 'last = 1')}(a) z = {SIMAM}(x) w = {IN}(z) y = {OUT}(w)",
    ],
)
def test_what_saves_nothing_is_said(body):
    assert take_blocks(graph(body), 16) <= 0


def test_two_readers_in_blocks_share_one_reorder():
    model = graph(
        f"z = {SIMAM}(r) w = {IN}(z) v = {IN}(z) c = Add(w, v) y = {OUT}(c)",
    )
    assert take_blocks(model, 16) == 1
    assert [op for _, op, _ in nodes(model)] == ["SimAM", "ReorderInput", "Add", "ReorderOutput"]
