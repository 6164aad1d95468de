"""Sites against copies of their maps."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy.bench.asked import Asked
from simam_deploy.bench.operator_graphs import IN_A_ROW, WAYS, lowered, row_of_sites
from simam_deploy.bench.roofline import measure_roofline

SHAPE = (1, 8, 64, 64)


def saved(model, file):
    onnx.save(ir.to_proto(model), file)
    return Asked(file, "cpu", file.name)


@pytest.mark.parametrize("way", ["published", "portable", "instancenorm"])
def test_every_site_is_told_with_its_map_and_its_nodes(way, tmp_path):
    asked = saved(lowered(row_of_sites(SHAPE), way), tmp_path / f"{way}.onnx")
    found = measure_roofline(asked, 1, [np.ones(SHAPE, np.float32)])
    assert len(found.sites) == IN_A_ROW
    size = 4 * int(np.prod(SHAPE))
    for site in found.sites:
        assert (site.shape, site.moved) == (SHAPE, 2 * size)
        assert site.nodes[-1] == "Mul"
        assert "Sigmoid" in site.nodes
        assert site.share > 0
    assert found.moved == IN_A_ROW * 2 * size  # no layer has weights
    assert found.taken_ms >= sum(site.taken_ms for site in found.sites) * 0.999
    assert found.floor_ms == pytest.approx(found.moved / found.copy_gb_s / 1e6)


def test_a_layers_weights_and_maps_are_counted(tmp_path):
    """Of 16 channels: with AVX-512 ONNX Runtime pads 8 to that many, and moves the padding too."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    g (float[1,16,64,64] x) => (float[1,16,64,64] y)
    { v = Conv(x, w) y = Relu(v) }"""
    proto = onnx.parser.parse_model(text)
    weights = np.ones((16, 16, 1, 1), np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    file = tmp_path / "conv.onnx"
    onnx.save(proto, file)
    given = [np.ones((1, 16, 64, 64), np.float32)]
    found = measure_roofline(Asked(file, "cpu", "conv"), 1, given)
    assert found.sites == ()
    assert found.moved == 4 * (16 * 64 * 64 + 16 * 64 * 64 + 16 * 16)


def test_a_site_that_the_runtime_writes_out_is_said_not_to_be_told(tmp_path):
    asked = saved(lowered(row_of_sites(SHAPE), "function"), tmp_path / "function.onnx")
    found = measure_roofline(asked, 1, [np.ones(SHAPE, np.float32)])
    assert len(found.sites) == IN_A_ROW
    assert {site.taken_ms for site in found.sites} == {None}
    assert "cannot be told" in found.sites[0].note
    assert found.moved is found.floor_ms is None


def test_the_published_nodes_are_the_authors():
    ops = [node.op_type for node in lowered(row_of_sites(SHAPE), "published").graph]
    one = ["ReduceMean", "Sub", "Pow", "ReduceSum", "Div", "Add", "Mul", "Div", "Add", "Sigmoid"]
    assert sorted(ops) == sorted([*one, "Mul"] * IN_A_ROW)
    assert "plugin" not in WAYS
