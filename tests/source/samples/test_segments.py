"""Outlines in COCO's annotations: read as COCO's own code reads them, and bounded before it."""

import json

import numpy as np
import pytest
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.samples import open_dataset, segments
from simam_deploy.source.samples.segments import read_segment

SIZE = (12, 20)
SQUARE = [2, 3, 9, 3, 9, 8, 2, 8]


def read(value, size=SIZE):
    return read_segment("a.json: annotations[0]", value, size)


def test_polygons():
    (polygon,) = read([SQUARE]).polygons
    assert polygon.tolist() == [[2, 3], [9, 3], [9, 8], [2, 8]]
    assert len(read([SQUARE, [0, 0, 3, 0, 3, 3]]).polygons) == 2


@pytest.mark.parametrize("value", [None, [], [[]], [[1, 1, 5, 5]]])
def test_no_outline_is_none(value):
    assert read(value) is None


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools' decode
def test_packed_runs_are_unpacked_as_pycocotools_packs_them():
    mask = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for size in ((1, 1), (7, 5), (480, 640)):
        for share in (0.0, 0.001, 0.3, 1.0):
            bits = np.asfortranarray(rng.uniform(0, 1, size) < share, np.uint8)
            packed = mask.encode(bits)
            value = {"size": list(size), "counts": packed["counts"].decode()}
            runs = read(value, size).runs
            again = mask.frPyObjects({"size": list(size), "counts": runs.tolist()}, *size)
            np.testing.assert_array_equal(mask.decode(again), bits)
            assert read({**value, "counts": runs.tolist()}, size).runs.tolist() == runs.tolist()


WHOLE = {"size": list(SIZE), "counts": [240]}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("polygon", "neither a list of polygons nor runs"),
        (7, "neither a list"),
        (SQUARE, "2 is no list of numbers"),
        ([SQUARE[:-1]], "a polygon of 7 numbers, wanted pairs"),
        ([["a", "b"] * 3], "is no list of numbers"),
        ([[[1, 2], [3]]], "is no list of numbers"),
        ([[True, False] * 3], "is no list of numbers"),
        ([[10**400, 0] * 3], "is no list of numbers"),
        ([[1, 1, 5, float("nan"), 3, 3]], "leaves the picture of 20 x 12 pixels"),
        ([[1, 1, 1e9, 1, 3, 3]], "leaves the picture"),
        ([[1, 1, 5, -13, 3, 3]], "leaves the picture"),
        ({**WHOLE, "size": [20, 12]}, "runs of size"),
        ({**WHOLE, "size": None}, "runs of size None"),
        ({"size": list(SIZE)}, "is no list of numbers"),
        ({**WHOLE, "counts": [241]}, "do not add up to the picture's 240 pixels"),
        ({**WHOLE, "counts": [300, -60]}, "do not add up"),
        ({**WHOLE, "counts": [2**64, 1]}, "is no list of numbers|do not add up"),
        ({**WHOLE, "counts": [2**62] * 4 + [240]}, "do not add up"),
        ({**WHOLE, "counts": [239.5, 0.5]}, "runs are whole numbers"),
        ({**WHOLE, "counts": b"abc"}, "is no list of numbers"),
        ({**WHOLE, "counts": "abc"}, "packed otherwise|do not add up|end within a number"),
        ({**WHOLE, "counts": "~~"}, "packed otherwise than COCO's"),
        ({**WHOLE, "counts": "o" * 9}, "packed otherwise than COCO's"),
        ({**WHOLE, "counts": "P"}, "end within a number"),  # COCO's own code reads beyond its end
        ({**WHOLE, "counts": ""}, "do not add up"),
        ({**WHOLE, "counts": "é"}, "packed otherwise"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_no_outline_is_one_line(value, says):
    with pytest.raises(InputError, match=says) as found:
        read(value)
    assert str(found.value).startswith("a.json: annotations[0]: segmentation cannot be used: ")
    assert len(str(found.value)) < 300


def test_what_drawing_would_allocate_is_bounded(monkeypatch):
    """A polygon that crosses a picture of a million pixels a side a thousand times: 40 GB."""
    across = [0, 0, 2**20, 2**20] * 1000
    with pytest.raises(InputError, match="an outline of 2\\d{9} pixels, 262144 is the limit"):
        read([across], (2**20, 2**20))
    with pytest.raises(InputError, match="a picture of 1099511627776 pixels"):
        read({"size": [2**20, 2**20], "counts": [2**40]}, (2**20, 2**20))
    monkeypatch.setattr(segments, "_MOST_TEXT", 8)
    with pytest.raises(InputError, match="runs of 9 letters, 8 is the limit"):
        read({**WHOLE, "counts": "0" * 9})


def annotated(folder, *outlines):
    """COCO's annotations of one picture, a box an outline."""
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / "a.png")
    entry = {"image_id": 1, "category_id": 3, "bbox": [2, 3, 7, 5]}
    document = {
        "images": [{"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 3, "name": "frog"}],
        "annotations": [{**entry, "segmentation": each} for each in outlines],
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    return open_dataset(folder, [TensorSpec("x", "float32", ("n", 3, 24, 40))], None)


def test_outlines_come_with_the_boxes(tmp_path):
    dataset = annotated(tmp_path, [SQUARE], WHOLE)
    (truth,) = dataset.truths()
    polygons, runs = truth.segments
    assert (len(polygons.polygons), runs.runs.tolist()) == (1, [240])
    assert not any("outline" in note for note in dataset.notes)


def test_boxes_alone_have_none_and_a_part_of_them_is_said(tmp_path):
    dataset = annotated(tmp_path, [], None)
    assert next(dataset.truths()).segments is None
    assert not any("outline" in note for note in dataset.notes)
    dataset = annotated(tmp_path, [SQUARE], None, [])
    assert next(dataset.truths()).segments is None
    assert "2 of 3 boxes have no outline: masks are not measured" in dataset.notes


def test_a_damaged_outline_is_named(tmp_path):
    with pytest.raises(InputError, match=r"annotations.json: annotations\[1\]: segmentation"):
        annotated(tmp_path, [SQUARE], [[1, 2, 3]])
