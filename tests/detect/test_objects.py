"""A detector's file on pictures, as a person's program has it: in the picture's own pixels."""

import json

import numpy as np
import pytest
from PIL import Image

from simam_deploy import InputError, ObjectDetector
from simam_deploy.detect.masks import paste
from tests.detect import tiny

RED, BLUE = (10, 8, 30, 28), (40, 4, 60, 20)
PICTURE = tiny.painted(48, 64, red=RED, blue=BLUE)


@pytest.fixture
def spots(tmp_path):
    with ObjectDetector(tiny.write(tmp_path)) as detector:
        yield detector


def test_boxes_and_masks_are_in_pixels_of_the_picture(spots):
    """The picture is doubled on its way in, and what comes out is halved."""
    found = spots(PICTURE)
    assert (len(found), found.height, found.width, found.turned) == (2, 48, 64, False)
    assert found.names == ("red", "blue")
    assert found.labels.tolist() == [0, 2]
    np.testing.assert_allclose(found.scores, [0.9, 0.7], rtol=1e-6)
    np.testing.assert_array_equal(found.boxes, [RED, BLUE])
    np.testing.assert_array_equal(found.masks(), paste(tiny.MASKS[[0, 2]], found.boxes, 48, 64))
    assert found.masks().shape == (2, 48, 64)


def test_a_file_a_picture_and_pixels_are_the_same(spots, tmp_path):
    (tmp_path / "p.png").write_bytes(tiny.png(PICTURE))
    wanted = spots(PICTURE)
    for picture in (tmp_path / "p.png", str(tmp_path / "p.png"), Image.fromarray(PICTURE)):
        found = spots(picture)
        np.testing.assert_array_equal(found.boxes, wanted.boxes)
        np.testing.assert_array_equal(found.masks(), wanted.masks())


def test_the_network_is_told_where_the_picture_ends(spots):
    """50 x 30 becomes 128 x 77 of 128 x 96: the box ends a margin before that, not before 96."""
    found = spots(tiny.painted(30, 50, red=(20, 10, 50, 30)))
    ends = [(128 - tiny.MARGIN) / 2.56, (77 - tiny.MARGIN) * 30 / 77]
    np.testing.assert_allclose(found.boxes[0, 2:], ends, atol=1e-6)


def test_a_file_that_is_stored_on_its_side_is_turned(spots, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = tiny.png(np.ascontiguousarray(np.rot90(PICTURE)), exif=exif)
    (tmp_path / "side.png").write_bytes(stored)
    found = spots(tmp_path / "side.png")
    assert found.turned
    assert (found.height, found.width) == (48, 64)
    np.testing.assert_array_equal(found.boxes, [RED, BLUE])


@pytest.mark.parametrize(("least", "count"), [(0, 2), (0.75, 1), (1, 0)])
def test_scores_are_above_what_is_asked_for(spots, least, count):
    found = spots(PICTURE, least)
    assert len(found) == len(found.names) == len(found.masks()) == count


def test_without_masks(tmp_path):
    bare = tiny.detector()
    del bare.graph.output[-1]
    with ObjectDetector(tiny.write(tmp_path, "bare", bare)) as detector:
        found = detector(PICTURE)
    assert found.cells is None
    with pytest.raises(InputError, match="boxes without masks"):
        found.masks()


def test_names_beside_the_file_come_first(tmp_path):
    path = tiny.write(tmp_path)
    path.with_suffix(".labels.txt").write_text("ruby\nemerald\n")
    with ObjectDetector(path) as detector:
        assert detector(PICTURE).names == ("ruby", "2")


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (PICTURE.astype(np.float32), "float32 "),
        (PICTURE[..., 0], r"\(48, 64\)"),
        (PICTURE[:0], r"\(0, 64, 3\)"),
    ],
    ids=["floats", "grey", "empty"],
)
def test_what_is_no_picture_is_refused_in_a_line(pixels, says, spots):
    with pytest.raises(InputError, match=f"{says}.*wanted RGB"):
        spots(pixels)


def test_a_damaged_file_is_named(spots, tmp_path):
    (tmp_path / "torn.png").write_bytes(tiny.png(PICTURE)[:60])
    with pytest.raises(InputError, match="torn.png cannot be decoded"):
        spots(tmp_path / "torn.png")


def test_a_file_without_preprocessing_says_what_is_missing(tmp_path):
    path = tiny.write(tmp_path)
    manifest = json.loads(path.with_suffix(".json").read_text())
    del manifest["preprocessing"]
    path.with_suffix(".json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"spots.json beside it has no such preprocessing"):
        ObjectDetector(path)


def test_a_file_that_is_not_its_manifests_is_refused(tmp_path):
    path = tiny.write(tmp_path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="spots"):
        ObjectDetector(path)


def test_a_classifier_is_none(tmp_path):
    model = tiny.detector()
    del model.graph.output[1:]
    with pytest.raises(InputError, match=r"spots.onnx gives no boxes: num_dets int64"):
        ObjectDetector(tiny.write(tmp_path, model=model))
