"""Graphs in outline: what becomes one block, what stays apart, which feeds which."""

import numpy as np
import pytest

from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.outline import outline_of
from simam_deploy.graph.outline.units import units_of
from simam_deploy.graph.prepare import plain, with_sites
from tests.graph.onnx_text import model, simam_model


def weights(count: int, channels: int = 3) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(0).standard_normal((channels, channels, 1, 1)).astype("float32")
    return {f"w{i}": drawn for i in range(count)}


def outlined(nodes: str, count: int, outputs: str = "float[n,3,8,8] y"):
    """Outline a graph as it lies in a file: SimAM in plain ops."""
    text = f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[n,3,8,8] x) => ({outputs}) {{ {nodes} }}"""
    return outline_of(plain(model(text, **weights(count))))


def block(number: int, given: str, out: str, skip: str | None = None) -> str:
    """A residual block: conv, SimAM, then either nothing or the skip added, and an activation."""
    joined = f"j{number} = Add(s{number}, {skip})" if skip else f"j{number} = Identity(s{number})"
    return f"""
        c{number} = Conv({given}, w{number})
        [site{number}] s{number} = simam.SimAM<e_lambda = 0.1>(c{number})
        {joined}
        {out} = Relu(j{number})"""


def test_a_block_takes_in_what_leads_to_its_site_and_what_follows():
    outline = outlined(f"a = Conv(x, w1) {block(0, 'a', 'y', 'a')}", 2)
    stem, residual = outline.rows
    assert stem.before == ("1\N{MULTIPLICATION SIGN}1 conv 3",)
    assert (residual.before, residual.after) == (
        ("1\N{MULTIPLICATION SIGN}1 conv 3",),
        ("add", "ReLU"),
    )
    assert (residual.landmark, residual.names, residual.skips) == ("SimAM", ("site0",), True)
    assert residual.shape == (3, 8, 8)
    assert outline.edges == ((0, 1),)


def test_a_block_without_a_skip_has_none():
    (row,) = outlined(block(0, "x", "y"), 1).rows
    assert not row.skips
    assert row.beside == ()


def test_what_the_skip_computes_stands_beside():
    nodes = f"a = Relu(x) {block(0, 'a', 'y', 'd')}".replace("j0 =", "d = Conv(a, w1) j0 =")
    _, row = outlined(nodes, 2).rows
    assert row.beside == ("1\N{MULTIPLICATION SIGN}1 conv 3",)
    assert row.skips


def test_a_layer_behind_the_site_is_in_its_block_where_the_skip_joins_behind_it():
    nodes = """a = Conv(x, w0)
        b = Conv(a, w1)
        [site] s = simam.SimAM<e_lambda = 0.1>(b)
        c = Conv(s, w2)
        d = Add(c, a)
        e = Relu(d)
        f = GlobalAveragePool(e)
        y = Flatten(f)"""
    outline = outlined(nodes, 3, "float[n,3] y")
    assert [row.after for row in outline.rows] == [
        (),
        ("1\N{MULTIPLICATION SIGN}1 conv 3", "add", "ReLU"),
        (),
    ]
    assert outline.rows[2].before == ("global average pool",)
    assert outline.edges == ((0, 1), (1, 2))


def test_blocks_of_one_kind_in_a_row_are_one_row():
    nodes = block(0, "x", "a", "x") + block(1, "a", "b", "a") + block(2, "b", "y", "b")
    outline = outlined(nodes, 3)
    (row,) = outline.rows
    assert (row.count, row.names) == (3, ("site0", "site1", "site2"))
    assert outline.edges == ()


def test_a_block_that_something_else_reads_too_stays_apart():
    nodes = block(0, "x", "a") + block(1, "a", "b") + "y = Concat<axis = 1>(a, b)"
    outline = outlined(nodes, 2, "float[n,6,8,8] y")
    assert [row.count for row in outline.rows] == [1, 1]
    assert outline.edges == ((0, 1),)
    assert outline.rows[1].after == ("ReLU", "concat")
    assert outline.rows[1].skips


def test_branches_are_joined_behind_both():
    nodes = block(0, "x", "a") + block(1, "x", "b") + "c = Add(a, b) y = Conv(c, w2)"
    outline = outlined(nodes, 3)
    assert [row.names for row in outline.rows] == [("site0",), ("site1",), (), ()]
    assert {(0, 2), (1, 2), (2, 3)} <= set(outline.edges)


def test_weights_that_are_computed_of_weights_are_no_part():
    nodes = "d = Neg(w0) " + block(1, "x", "y").replace("w1", "d")
    (row,) = outlined(nodes, 2).rows
    assert row.before == ("1\N{MULTIPLICATION SIGN}1 conv 3",)


def test_a_graph_without_simam_is_one_part():
    (row,) = outlined("a = Conv(x, w0) b = Relu(a) c = Conv(b, w1) y = Relu(c)", 2).rows
    assert row.landmark == ""
    assert row.before == (
        "1\N{MULTIPLICATION SIGN}1 conv 3",
        "ReLU",
        "1\N{MULTIPLICATION SIGN}1 conv 3",
        "ReLU",
    )


def test_long_parts_name_their_layers_and_count_the_rest():
    chain = " ".join(f"c{i} = Conv(a{i}, w0) a{i + 1} = Relu(c{i})" for i in range(9))
    (row,) = outlined(f"a0 = Relu(x) {chain} y = Relu(a9)", 1).rows
    assert row.before == (
        "1\N{MULTIPLICATION SIGN}1 conv 3 \N{MULTIPLICATION SIGN}9",
        "11 more operations",
    )


@pytest.mark.parametrize("opset", [13, 18])
def test_every_node_that_an_input_reaches_is_in_one_part(opset):
    graph = with_sites(simam_model("n,3,8,8", opset))[0].graph
    nodes = [node for unit in units_of(graph) for node in unit.nodes]
    assert sorted(map(id, nodes)) == sorted(map(id, graph))


def test_parts_of_a_real_network_come_behind_what_feeds_them(digits_onnx):
    outline = outline_of(read_model(digits_onnx))
    assert [row.count for row in outline.rows] == [1, 1, 2, 1, 2, 1, 2, 1]
    assert all(a < b for a, b in outline.edges)
    assert sum(len(row.names) for row in outline.rows) == 9
    assert outline.rows[3].beside == ("1\N{MULTIPLICATION SIGN}1 conv 32 /2",)
