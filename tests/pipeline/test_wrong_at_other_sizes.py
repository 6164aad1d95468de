"""Candidates that are right at the sizes of the trace and wrong, without a word, at others.

Each is the export of the trained digits network, 32 x 32 pixels, with a slip at its input. The
smallest workable input, 5 x 5, is spared by all: the sizes beside it must tell.
"""

from pathlib import Path

import onnx
import pytest

from simam_deploy import NetworkOptions, export_onnx, validate_models

EVEN = "size = Shape(x) half = Div(size, two) even = Mul(half, two) kept = Max(even, least)"
SLIPS = {
    "none": "y = Identity(x)",
    "odd sizes are taken for even ones": f"{EVEN} y = Slice(x, zero, kept)",
    "height and width are taken for equal": """
        size = Shape(x) sides = Slice(size, two, four) side = ReduceMin<keepdims = 1>(sides)
        kept = Concat<axis = 0>(most, most, side, side) y = Slice(x, zero, kept)""",
    "every row is taken for the first": """
        size = Shape(x) first = Gather<axis = 0>(x, batch) y = Expand(first, size)""",
}
CONSTANTS = """<int64[1] two = {2}, int64[1] four = {4}, int64[4] zero = {0, 0, 0, 0},
    int64[4] least = {100, 3, 9, 9}, int64[1] most = {100}, int64[1] batch = {0}>"""


@pytest.fixture(scope="module")
def exported(digits, tmp_path_factory):
    """The export, its batch, height and width free."""
    return export_onnx(
        digits, tmp_path_factory.mktemp("digits") / "m.onnx", network=NetworkOptions(dynamic="hw")
    ).path


def slipped(file: Path, slip: str, folder: Path) -> Path:
    """Write the network behind a slip."""
    model = onnx.load(file)
    (given,) = model.graph.input
    dims = ",".join(d.dim_param or str(d.dim_value) for d in given.type.tensor_type.shape.dim)
    head = onnx.parser.parse_graph(
        f"slip (float[{dims}] x) => (float[batch,3,h,w] y) {CONSTANTS} {{ {SLIPS[slip]} }}"
    )
    head = onnx.compose.add_prefix_graph(head, "slip/")
    for node in model.graph.node:
        node.input[:] = ["slip/y" if name == given.name else name for name in node.input]
    for node in head.node:
        node.input[:] = [given.name if name == "slip/x" else name for name in node.input]
    nodes = [*head.node, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(head.initializer)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "slipped.onnx")
    return folder / "slipped.onnx"


@pytest.mark.parametrize("slip", [slip for slip in SLIPS if slip != "none"])
def test_a_slip_at_other_heights_widths_and_batches(slip, exported, digits, tmp_path):
    compared = validate_models(digits, slipped(exported, slip, tmp_path)).validation
    assert not compared.passed
    failed = {result.case.partition(" ")[2] for result in compared.results if not result.passed}
    assert not failed & {"1x3x32x32", "1x3x5x5"}, "the slip shows where it should not"


def test_without_a_slip_all_sizes_are_right(exported, digits, tmp_path):
    compared = validate_models(digits, slipped(exported, "none", tmp_path)).validation
    assert compared.passed
    assert {result.case.partition(" ")[2] for result in compared.results} > {"1x3x5x5"}
