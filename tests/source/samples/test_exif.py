"""Pictures that are stored on their side: turned upright, said, and their boxes with them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.models.zoo import CIFAR
from simam_deploy.source.samples import open_dataset
from simam_deploy.source.samples.pictures import decode, size_of

SPEC = TensorSpec("input", "float32", ("batch", 3, 32, 32))
STORED = {
    # By orientation, an upright array as a camera stores it; TIFF 6.0, tag 274: where row 0 and
    # column 0 of what is stored lie in the picture that is seen.
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
UPRIGHT = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


def stored(file, orientation, kind="PNG", upright=UPRIGHT):
    """Write a picture as it is stored."""
    pixels = np.ascontiguousarray(STORED[orientation](upright))
    exif = Image.Exif()
    exif[0x0112] = orientation
    quality = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    Image.fromarray(pixels).save(file, kind, exif=exif, **quality)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_is_turned_upright(tmp_path, kind, orientation):
    file = tmp_path / f"a.{kind.lower()}"
    stored(file, orientation, kind)
    picture, turned = decode(file, "a")
    assert picture.size == (40, 24)
    assert turned == (orientation != 1)
    assert size_of(file, "a") == (24, 40)
    off = np.abs(np.asarray(picture).astype(int) - UPRIGHT).max()
    assert off == 0 or (kind == "JPEG" and off < 12)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"x" * 99])
def test_a_picture_of_damaged_exif_is_taken_as_it_lies(exif):
    content = io.BytesIO()
    Image.fromarray(UPRIGHT).save(content, "JPEG", exif=exif)
    picture, turned = decode(content, "a")
    assert (picture.size, turned) == ((40, 24), False)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_there_is_not_turns_nothing(tmp_path, value):
    exif = Image.Exif()
    exif[0x0112] = value
    Image.fromarray(UPRIGHT).save(tmp_path / "a.png", exif=exif)
    assert decode(tmp_path / "a.png", "a").picture.size == (40, 24)
    assert not decode(tmp_path / "a.png", "a").turned


def test_how_many_were_turned_is_said_once_they_are_read(tmp_path):
    for number, orientation in enumerate((1, 6, 3, 1)):
        stored(tmp_path / f"{number}.png", orientation)
    dataset = open_dataset(tmp_path, [SPEC], CIFAR.preprocessing)
    arrays = [batch.array for _ in range(2) for batch in dataset.batches(4)]
    np.testing.assert_array_equal(arrays[0], np.repeat(arrays[0][:1], 4, axis=0))
    assert dataset.notes == ("2 of 4 pictures were turned upright, as their EXIF orientation says",)


def test_yolo_boxes_lie_in_the_upright_picture(tmp_path):
    """Of an upright 40 x 24, as ultralytics' exif_size has it."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    stored(tmp_path / "images" / "a.jpg", 6, "JPEG")
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.25 0.5 0.5")
    dataset = open_dataset(tmp_path, [SPEC], None)
    list(dataset.batches(1))
    (truth,) = dataset.truths()
    assert truth.boxes.tolist() == [[10, 0, 30, 12]]
    assert truth.placement.picture == (24, 40)
    assert "1 of 1 pictures were turned upright" in dataset.notes[1]


def coco(folder, width, height):
    stored(folder / "a.jpg", 8, "JPEG")
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}],
        "categories": [{"id": 1, "name": "frog"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 30, 12]}],
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    return open_dataset(folder, [SPEC], None)


def test_coco_boxes_lie_in_the_upright_picture(tmp_path):
    (truth,) = coco(tmp_path, 40, 24).truths()
    assert truth.boxes.tolist() == [[0, 0, 30, 12]]


def test_coco_boxes_of_the_picture_as_it_is_stored_are_refused(tmp_path):
    """As detectron2 does: the picture that the network sees is another than was annotated."""
    said = r"a\.jpg, turned as its EXIF says, has 40 x 24 pixels, its annotations say 24 x 40"
    with pytest.raises(InputError, match=said):
        coco(tmp_path, 24, 40)
