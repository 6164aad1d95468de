"""A detector's operators in the orders of passes: what is written, judged and built."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.errors import UsageError
from simam_deploy.graph.detect import LOOPS, STANDARD
from simam_deploy.graph.detect.nodes import detection_nodes, note_types
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import check_typed, typed, with_shapes
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower import LOWERINGS, WITH_FUNCTIONS
from simam_deploy.graph.passes.opset import convert_opset
from simam_deploy.graph.prepare import for_engine, for_runtime, opened, plain, with_sites
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op import contract, detection
from simam_deploy.op.detection import NOTHING
from tests.graph.onnx_text import model, ops, run

NODES = [detection.NMS_OP_TYPE, detection.ALIGN_OP_TYPE]
FREE = "n,3,h,w"
FIXED = "2,3,32,40"


def small(shape=FIXED, opset=18):
    """Give a detector of a few nodes: SimAM, a batch norm, NMS of given boxes, RoIAlign of those.

    Its levels are its map and that map pooled, one to three times.
    """
    batch = shape.split(",")[0]
    draw = np.random.default_rng(0).standard_normal
    weights = {"w": 0.3 * draw((3, 3, 1, 1)), "one": 1 + 0.1 * draw(3), "many": np.abs(draw(3)) + 1}
    return model(
        f"""<ir_version: 8, opset_import: ["" : {opset}, "simam" : 1]>
        g (float[{shape}] x, float[{batch},20,4] boxes, float[{batch},20] scores)
            => (float[{batch},20] kept, float[r,3,7,7] y)
            <float[{shape}] x0, float nothing = {{-1e38}}, int64[1] last = {{-1}}>
        {{
            c = Conv(x, w)
            normed = BatchNormalization(c, one, one, one, many)
            x0 = simam.SimAM<e_lambda = 0.1>(normed)
            x1 = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x0)
            x2 = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x1)
            x3 = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x2)
            groups = Cast<to = 7>(scores)
            [nms] raw = simam.BatchedNMS<iou_threshold = 0.5, num_groups = 3>(boxes, scores, groups)
            kept = Max(raw, nothing)
            found = Greater(kept, nothing)
            there = Cast<to = 1>(found)
            deep = Unsqueeze(there, last)
            rois = Mul(boxes, deep)
            [align] p = simam.MultilevelRoIAlign<output_size = 7, sampling_ratio = 0,
                finest_scale = 14.0>(rois, x0, x1, x2, x3)
            y = Relu(p)
        }}""",
        **{name: array.astype(np.float32) for name, array in weights.items()},
    )


def feeds():
    random = np.random.default_rng(0)
    low = random.uniform(0, 100, (2, 20, 2))
    boxes = np.concatenate([low, low + np.exp(random.uniform(2, 4.5, (2, 20, 2)))], 2)
    boxes[:, ::2] = boxes[:, 1::2] + 1  # pairs that overlap
    scores = random.integers(0, 3, (2, 20)) + random.uniform(0, 0.9, (2, 20))
    x = random.standard_normal((2, 3, 32, 40))
    arrays = {"x": x, "boxes": boxes, "scores": scores}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def assert_alike(graph, other):
    kept, y = run(graph, **feeds())
    truth, expected = run(other, **feeds())
    np.testing.assert_array_equal(kept, truth)
    assert 5 < (truth > NOTHING / 10).sum() < 38
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4)
    assert expected.any()


@pytest.mark.parametrize("simplified", [True, False])
@pytest.mark.parametrize("shape", [FIXED, FREE])
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_what_is_written_runs_anywhere_or_keeps_its_nodes(lowering, shape, simplified, tmp_path):
    if lowering == "instancenorm" and shape == FREE:
        pytest.skip("it wants fixed sizes")
    written = for_runtime(typed(small(shape)), 18, simplified, lowering)
    functions = lowering in WITH_FUNCTIONS
    assert [node.op_type for node in detection_nodes(written)] == NODES * functions
    assert (contract.DOMAIN in written.opset_imports) == functions
    assert written.functions.keys() == {
        (contract.DOMAIN, name, "") for name in (*NODES, contract.OP_TYPE) if functions
    }
    named = [node.attributes.keys() >= contract.PLUGIN_ATTRIBUTES.keys() for node in
             detection_nodes(written)]  # fmt: skip
    assert named == [lowering == "plugin"] * 2 * functions
    write_model(written, tmp_path / "a.onnx")
    assert_alike(read_model(tmp_path / "a.onnx"), plain(small(shape)))


@pytest.mark.parametrize("shape", [FIXED, FREE])
@pytest.mark.parametrize("form", [STANDARD, LOOPS])
@pytest.mark.parametrize("plugin", [True, False])
def test_an_engine_gets_its_form_from_any_file(plugin, form, shape, tmp_path):
    """From one of plain ops too, whose nodes are found again."""
    for lowering in ("portable", "function"):
        write_model(for_runtime(typed(small(shape)), 18, True, lowering), tmp_path / "a.onnx")
        graph, _ = with_sites(read_model(tmp_path / "a.onnx"))
        assert [node.op_type for node in detection_nodes(graph)] == NODES
        for_engine(graph, "plugin" if plugin else "flat", form, plugin)
        assert len(detection_nodes(graph)) == 2 * plugin
        assert bool(graph.functions) == plugin
        inside = [graph.graph, *(f.graph for f in graph.functions.values())]
        found = {node.op_type for body in inside for node in body.all_nodes()}
        assert ("NonMaxSuppression" in found, "RoiAlign" in found) == ((form == STANDARD),) * 2
        assert_alike(graph, plain(small(shape)))


def test_what_is_judged_is_plain_and_typed():
    graph = plain(small(FREE))
    assert not graph.functions
    assert {node.domain for node in graph.graph} == {""}
    check_typed(graph)


def test_opened_keeps_the_nodes_and_with_sites_finds_simam_beside_them():
    written = for_runtime(typed(small()), 18, lowering="function")
    assert [node.op_type for node in detection_nodes(opened(written.clone()))] == NODES
    graph, findings = with_sites(written)
    assert len(simam_nodes(graph)) == 1
    assert not findings.near_misses
    assert [node.op_type for node in detection_nodes(graph)] == NODES


def test_types_are_known_behind_nodes_without_bodies():
    graph = typed(small())
    nms, align = detection_nodes(graph)
    assert list(nms.outputs[0].shape) == [2, 20]
    assert list(align.outputs[0].shape) == [40, 3, 7, 7]
    assert {value.dtype for node in (nms, align) for value in node.outputs} == {ir.DataType.FLOAT}
    free = with_shapes(small(FREE))
    nms, align = detection_nodes(free)
    assert list(align.outputs[0].shape)[1:] == [3, 7, 7]
    assert not note_types(free)


def test_an_older_opset_is_refused_in_one_line():
    with pytest.raises(UsageError, match=r"a detector \(BatchedNMS\) wants opset 18 or newer, got"):
        for_runtime(typed(small()), 17)


def test_a_newer_opset_is_written():
    written = for_runtime(typed(small(opset=22)), 22, simplify=False)
    assert "RoiAlign" not in ops(written)
    assert_alike(written, plain(small()))


@pytest.mark.parametrize("lowering", ["portable", "function"])
@pytest.mark.parametrize("opset", [20, 22])
def test_a_file_is_raised_to_a_newer_opset(opset, lowering, tmp_path):
    """ONNX's converter knows no functions, and makes a RoiAlign of 22 that nothing runs."""
    write_model(for_runtime(typed(small()), 18, lowering=lowering), tmp_path / "a.onnx")
    raised, _ = with_sites(convert_opset(opened(read_model(tmp_path / "a.onnx")), opset))
    assert [node.op_type for node in detection_nodes(raised)] == NODES
    assert len(simam_nodes(raised)) == 1
    written = for_runtime(raised, opset, simplify=False)
    assert ("RoiAlign" in ops(written)) == (opset == 20)
    assert_alike(written, plain(small()))
