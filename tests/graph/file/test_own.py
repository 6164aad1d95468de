"""Nodes of our own domain are what the contracts say, or are refused in one line."""

import onnx
import pytest

from simam_deploy.errors import InputError
from simam_deploy.graph.file.read import read_model

NMS = "simam.BatchedNMS<iou_threshold = 0.5, num_groups = {0}>({1})"
ALIGN = "simam.MultilevelRoIAlign<output_size = {0}, sampling_ratio = {1}, finest_scale = {2}>({3})"
MAPS = "r, x, x, x, x"


def written(call, folder, function=""):
    text = f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1, "theirs" : 1]>
        g (float[1,9,4] r, float[1,9] s, int64[1,9] g, float[1,2,8,8] x) => (float y)
        {{ y = {call} }} {function}"""
    onnx.save(onnx.parser.parse_model(text), folder / "a.onnx")
    return folder / "a.onnx"


@pytest.mark.parametrize(
    "call",
    [
        NMS.format(1, "r, s, g"),
        ALIGN.format(7, 0, "56.0", MAPS),
        "simam.SimAM<e_lambda = 0.0>(x)",
        "simam.SimAM<e_lambda = 0.1, plugin_version = \"1\">(x)",
    ],
)  # fmt: skip
def test_what_the_contract_says_is_read(call, tmp_path):
    assert len(read_model(written(call, tmp_path)).graph) == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("simam.SimAM(x)", "without e_lambda"),
        ("simam.SimAM<e_lambda = 1>(x)", "whose e_lambda is no float"),
        ("simam.SimAM<e_lambda = 0.1>(x, x)", "of 2 inputs and 1 outputs, it has 1 and 1"),
        (NMS.format(0, "r, s, g"), "whose num_groups is 0"),
        (NMS.format(1, "r, s"), "of 2 inputs and 1 outputs, it has 3 and 1"),
        (NMS.format(1, 'r, "", g'), "of 2 inputs and 1 outputs, it has 3 and 1"),
        ("simam.BatchedNMS<num_groups = 1>(r, s, g)", "without iou_threshold"),
        (ALIGN.format(-1, 0, "56.0", MAPS), "whose output_size is -1"),
        (ALIGN.format(10**9, 0, "56.0", MAPS), "whose output_size is 1000000000"),
        (ALIGN.format("7.5", 0, "56.0", MAPS), "whose output_size is no integer"),
        (ALIGN.format(7, -1, "56.0", MAPS), "whose sampling_ratio is -1"),
        (ALIGN.format(7, 0, "56.0", "r, x, x, x"), "of 4 inputs and 1 outputs, it has 5 and 1"),
    ],
)
def test_anything_else_is_refused_in_one_line(call, says, tmp_path):
    with pytest.raises(InputError, match=rf"node 'y' is simam::\w+ .*{says}") as caught:
        read_model(written(call, tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("attribute", "fits"), [("e_lambda = 0.1", True), ("", False)])
def test_a_function_is_looked_into(attribute, fits, tmp_path):
    call = f"simam.SimAM<{attribute}>(a)" if attribute else "simam.SimAM(a)"
    function = f"""<opset_import: ["" : 18, "simam" : 1], domain: "theirs">
        F (a) => (b) {{ b = {call} }}"""
    file = written("theirs.F(x)", tmp_path, function)
    if fits:
        read_model(file)
        return
    with pytest.raises(InputError, match="without e_lambda"):
        read_model(file)
