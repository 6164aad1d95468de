"""MultilevelRoIAlign in both forms, against loops in float64."""

import functools

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.detect import FORMS, ROUTED
from simam_deploy.graph.detect.bodies import with_detection_bodies, without_detection_nodes
from simam_deploy.op.detection import STRIDES
from tests.graph.detect import reference
from tests.graph.detect.graphs import align_model, pyramid
from tests.graph.onnx_text import run

HEIGHT, WIDTH = 128, 160
FINEST = 8.0
MAPS = pyramid(HEIGHT, WIDTH, channels=2, batch=2)
NEVER = np.array(
    [
        [20, 20, 20, 60],  # no width
        [30, 30, 30, 30],  # a point
        [60, 20, 20, 60],  # inverted
        [60, 60, 20, 20],  # twice
        [500, 500, 600, 600],  # outside of the map
        [-300, 10, -200, 90],
    ]
)
ODD = np.array(
    [
        [-1500, -1200, 1500, 1700],  # 14 x 13 samples a bin, nearly all outside
        [-30, -20, 40, 50],  # over the edge
        [130, 100, 190, 150],
        [-280, 60, 160, 60.45],  # 16 samples a bin in a row, at stride 4
        [70, -250, 70.4, 190],
        [0, 0, WIDTH, HEIGHT],
        [3, 3, 3.5, 3.5],  # less than a cell
        [-4, -4, 4, 4],  # its first samples at exactly -1.5 + bin / 2
        [8, 8, 24, 24],  # of exactly twice the finest size
        [8, 8, 23.99, 24],
    ]
)


def drawn(seed):
    """Give RoIs of all levels, elongated and not."""
    random = np.random.default_rng(seed)
    centre = random.uniform(0, [WIDTH, HEIGHT], (14, 2))
    sides = np.exp(random.uniform(np.log(3), np.log(150), (14, 2)))
    return np.concatenate([centre - sides / 2, centre + sides / 2], 1)


ROIS = np.stack([np.concatenate([NEVER, ODD, drawn(seed)]) for seed in range(2)])
ROIS = ROIS.astype(np.float32)


@functools.cache
def expected(size=7, ratio=0):
    return reference.align(ROIS, MAPS, size, ratio, FINEST)


def feeds(maps=MAPS):
    return {"rois": ROIS, **{f"x{i}": x for i, x in enumerate(maps)}}


def as_function(graph, form):
    with_detection_bodies(graph, form)


WAYS = [without_detection_nodes, as_function]
FREE = [("n", 2, f"h{i}", f"w{i}") for i in range(4)]
FIXED = [x.shape for x in MAPS]
CLOSE = 1e-4
"""A position in the atlas is rounded by up to 60 * 2^-23 px; two cells differ by at most 8."""


@pytest.mark.parametrize("shapes", [FIXED, FREE], ids=["fixed", "free"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMS)
def test_it_is_the_contract(form, way, shapes):
    graph = align_model(shapes, ROIS.shape[1], finest=FINEST)
    way(graph, form)
    (y,) = run(graph, **feeds())
    np.testing.assert_allclose(y, expected(), rtol=0, atol=CLOSE)
    for image in range(2):
        assert not y[image * ROIS.shape[1] :][: len(NEVER)].any()


@pytest.mark.parametrize(("size", "ratio"), [(7, 2), (7, 3), (5, 1)])
@pytest.mark.parametrize("form", FORMS)
def test_a_sampling_ratio_is_taken(form, size, ratio):
    graph = align_model(FIXED, ROIS.shape[1], size, ratio, FINEST)
    with_detection_bodies(graph, form)
    np.testing.assert_allclose(run(graph, **feeds())[0], expected(size, ratio), rtol=0, atol=CLOSE)


@pytest.mark.parametrize("opset", [20, 22, 23])
@pytest.mark.parametrize("form", FORMS)
def test_newer_opsets_compute_the_same(form, opset):
    graph = align_model(FIXED, ROIS.shape[1], finest=FINEST, opset=opset)
    without_detection_nodes(graph, form)
    np.testing.assert_allclose(run(graph, **feeds())[0], expected(), rtol=0, atol=CLOSE)


@pytest.mark.parametrize(("dtype", "step"), [("FLOAT16", 2**-11), ("BFLOAT16", 2**-8)])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMS)
def test_maps_in_half_are_read_in_float32(form, way, dtype, step):
    """What is read differs from the reference by the last rounding alone."""
    half = [ir.tensor(x).numpy().astype(ir.DataType[dtype].numpy()) for x in MAPS]
    rounded = [x.astype(np.float32) for x in half]
    graph = align_model(FIXED, ROIS.shape[1], finest=FINEST, dtype=dtype)
    way(graph, form)
    (y,) = run(graph, **feeds(rounded))
    truth = reference.align(ROIS, rounded, 7, 0, FINEST)
    assert np.all(np.abs(y - truth) <= CLOSE + step * np.abs(truth))


def test_maps_need_not_be_halves_of_each_other():
    maps = [
        x[:, :, :h, :w] for x, (h, w) in zip(MAPS, [(32, 9), (5, 20), (8, 3), (2, 5)], strict=True)
    ]
    truth = reference.align(ROIS, maps, 7, 0, FINEST)
    for form in FORMS:
        graph = align_model([x.shape for x in maps], ROIS.shape[1], finest=FINEST)
        without_detection_nodes(graph, form)
        np.testing.assert_allclose(run(graph, **feeds(maps))[0], truth, rtol=0, atol=CLOSE)


def test_no_roi_with_an_area_is_zero_and_takes_no_trip():
    rois = np.tile(NEVER[:4], (2, 1, 1)).astype(np.float32)
    for form in FORMS:
        graph = align_model(FIXED, rois.shape[1], finest=FINEST)
        without_detection_nodes(graph, form)
        assert not run(graph, **{**feeds(), "rois": rois})[0].any()


def test_a_map_reads_its_own_rois_from_the_top_down():
    """All of both images together, each once; those that are nowhere come first."""
    graph = align_model(FIXED, ROIS.shape[1], finest=FINEST)
    without_detection_nodes(graph, ROUTED)
    aligned = [node for node in graph.graph if node.op_type == "RoiAlign"]
    for number, node in enumerate(aligned):
        read = node.inputs[1]
        read.name, read.shape = f"read{number}", ir.Shape([None, 4])
        read.type = ir.TensorType(ir.DataType.FLOAT)
        graph.graph.outputs.append(read)
    _, *read = run(graph, **feeds())
    assert sum(map(len, read)) == 2 * ROIS.shape[1]
    assert all(len(rows) for rows in read)
    for stride, rows in zip(STRIDES, read, strict=True):
        width, height = rows[:, 2] - rows[:, 0], rows[:, 3] - rows[:, 1]
        size = np.sqrt(width * height)[width > 0] / FINEST
        assert stride == STRIDES[-1] or np.all(size < stride / 2)
        assert stride == STRIDES[0] or np.all(size >= stride / 4 * (1 - 1e-6))
        assert np.all(np.diff(np.maximum(rows[:, 1], 0)) >= 0)


def test_the_cases_tell_faults():
    """The reference with a fault is further off than anything that passes above."""
    faults = {
        "sampling ratio 2": reference.align(ROIS, MAPS, 7, 2, FINEST),
        "a level off by one": reference.align(ROIS, MAPS, 7, 0, 2 * FINEST),
        "a level lost to rounding": reference.align(ROIS, MAPS, 7, 0, FINEST * 1.00001),
        "images swapped": reference.align(ROIS, [x[::-1] for x in MAPS], 7, 0, FINEST),
        "x for y": reference.align(ROIS[..., [1, 0, 3, 2]], MAPS, 7, 0, FINEST),
        "half a pixel": reference.align(ROIS + 2, MAPS, 7, 0, FINEST),
    }
    far = {name: np.abs(wrong - expected()).max() for name, wrong in faults.items()}
    assert min(far.values()) > 100 * CLOSE, far
