"""Pictures with boxes: COCO and YOLO, where a box comes to lie, and what is refused."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.models.zoo import BACKBONE, IMAGENET
from simam_deploy.source.samples import coco, open_dataset, yolo

SPEC = TensorSpec("images", "float32", ("batch", 3, 64, 64))


def paint(path, size=(40, 20), box=(10, 5, 20, 15)):
    """A black picture with a white box, x1 y1 x2 y2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    Image.fromarray(pixels).save(path)


def document(**changes):
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 40, "height": 20},
            {"id": 3, "file_name": "b.png", "width": 40, "height": 20},
        ],
        "categories": [{"id": 90, "name": "toad"}, {"id": 2, "name": "frog"}],
        "annotations": [
            {"image_id": 7, "category_id": 90, "bbox": [10, 5, 10, 10]},
            {"image_id": 7, "category_id": 2, "bbox": [0.5, 0, 3, 4], "iscrowd": 1},
        ],
        **changes,
    }


def write_coco(folder, name="_annotations.coco.json", pictures=None, **changes):
    pictures = pictures or folder
    for picture in "ab":
        paint(pictures / f"{picture}.png")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(**changes)))
    return path


def write_yolo(folder, lines="1 0.375 0.5 0.25 0.5\n"):
    paint(folder / "images" / "a.png")
    paint(folder / "images" / "deep" / "b.png")
    (folder / "labels" / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "labels" / "a.txt").write_text(lines)


def truths(path, facts=None, spec=SPEC, **options):
    return list(open_dataset(path, [spec], facts, **options).truths())


def test_coco_boxes_come_with_their_pictures(tmp_path):
    write_coco(tmp_path)
    dataset = open_dataset(tmp_path, [SPEC], None)
    assert (len(dataset), dataset.labelled, dataset.classes) == (2, False, ("frog", "toad"))
    (note,) = dataset.notes
    assert "scaled to the input's height and width, its pixels to 0..1" in note
    first, second = dataset.truths()
    assert (first.name, second.name) == ("a.png", "b.png")
    assert first.boxes.tolist() == [[10, 5, 20, 15], [0.5, 0, 3.5, 4]]
    assert (first.labels.tolist(), first.crowd.tolist()) == ([1, 0], [False, True])
    assert (second.boxes.shape, second.labels.shape) == ((0, 4), (0,))
    (batch,) = dataset.batches(5)
    assert (batch.array.shape, batch.array.max(), batch.labels) == ((2, 3, 64, 64), 1.0, None)


def test_the_samples_that_are_chosen_have_their_own_boxes(tmp_path):
    write_coco(tmp_path, images=document()["images"][::-1])
    (found,) = truths(tmp_path, limit=1)
    assert (found.name, len(found.boxes)) == ("b.png", 0)


@pytest.mark.parametrize(
    ("name", "pictures", "given"),
    [
        ("annotations.json", "", "annotations.json"),
        ("annotations.json", "images", "annotations.json"),
        ("annotations.json", "", ""),
        ("_annotations.coco.json", "", ""),
        ("annotations/instances_val2017.json", "val2017", ""),
        ("annotations/instances_val2017.json", "images", "annotations/instances_val2017.json"),
        ("annotations/any.json", "", ""),
    ],
)
def test_where_annotations_and_pictures_may_lie(tmp_path, name, pictures, given):
    write_coco(tmp_path, name, tmp_path / pictures)
    if name.startswith("annotations/inst"):
        (tmp_path / "annotations" / "captions_val2017.json").write_text("{}")
    assert len(truths(tmp_path / given)) == 2


def test_several_annotations_have_to_be_named(tmp_path):
    for part in ("train", "val"):
        write_coco(tmp_path, f"annotations/instances_{part}.json", tmp_path / part)
    with pytest.raises(InputError, match=r"2 annotations .*instances_train.json, .*name one"):
        truths(tmp_path)


@pytest.mark.parametrize(
    ("names", "classes"),
    [(["toad", "frog"], ("toad", "frog")), (["toad", "newt"], ("frog", "toad"))],
)
def test_labels_follow_the_networks_classes_where_they_are_the_same(tmp_path, names, classes):
    write_coco(tmp_path)
    dataset = open_dataset(tmp_path, [SPEC], None, names=names)
    assert dataset.classes == classes
    first = next(dataset.truths())
    assert [classes[label] for label in first.labels] == ["toad", "frog"]


def test_boxes_of_other_classes_are_taken_by_place_and_said(tmp_path):
    write_coco(tmp_path)
    (_, note) = open_dataset(tmp_path, [SPEC], None, names=["toad", "newt"]).notes
    assert note == "boxes are of classes that the network does not name so (frog): taken by place"


def test_some_of_the_networks_classes_have_its_labels(tmp_path):
    write_coco(tmp_path)
    dataset = open_dataset(tmp_path, [SPEC], None, names=["newt", "Toad", "fish", "frog"])
    assert next(dataset.truths()).labels.tolist() == [1, 3]
    assert len(dataset.notes) == 1


def test_a_category_that_is_the_parent_of_all_is_no_class(tmp_path):
    kinds = [
        {"id": 0, "name": "amphibia", "supercategory": "none"},
        {"id": 2, "name": "frog", "supercategory": "amphibia"},
        {"id": 90, "name": "toad", "supercategory": "amphibia"},
    ]
    write_coco(tmp_path, categories=kinds)
    assert open_dataset(tmp_path, [SPEC], None).classes == ("frog", "toad")


def test_yolo_boxes_come_with_their_pictures(tmp_path):
    write_yolo(tmp_path, "\ufeff1 0.375 0.5 0.25 0.5\r\n\r\n")
    for path in (tmp_path, tmp_path / "images"):
        first, second = truths(path)
        assert (first.name, second.name) == ("a.png", "deep/b.png")
        np.testing.assert_allclose(first.boxes, [[10, 5, 20, 15]])
        assert (first.labels.tolist(), first.crowd.tolist()) == ([1], [False])
        assert second.boxes.shape == (0, 4)


def test_hidden_and_other_files_beside_yolos_pictures_are_said(tmp_path):
    write_yolo(tmp_path)
    (tmp_path / "images" / "._a.png").write_bytes(b"x")
    (tmp_path / "images" / "deep" / "notes.md").write_bytes(b"x")
    dataset = open_dataset(tmp_path, [SPEC], FACTS["cropped"])
    assert (len(dataset), dataset.notes) == (
        2,
        (
            "hidden files were left out: 1",
            "files that are no pictures (.md) were left out: 1",
        ),
    )


FACTS = {
    "stretched": None,
    "padded": {**BACKBONE.preprocessing, "mean": [0, 0, 0], "std": [1, 1, 1]},
    "cropped": {**IMAGENET.preprocessing, "mean": [0, 0, 0], "std": [1, 1, 1]},
}


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (64, 64), (131, 77)])
@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS)
def test_a_box_lies_where_the_picture_shows_it(tmp_path, facts, size):
    width, height = size
    box = (width // 4, height // 3, width // 2, 2 * height // 3)
    paint(tmp_path / "images" / "a.png", size, box)
    (tmp_path / "labels").mkdir()
    centre = (box[0] + box[2]) / 2 / width, (box[1] + box[3]) / 2 / height
    sides = (box[2] - box[0]) / width, (box[3] - box[1]) / height
    line = f"0 {centre[0]} {centre[1]} {sides[0]} {sides[1]}"
    (tmp_path / "labels" / "a.txt").write_text(line)
    dataset = open_dataset(tmp_path, [SPEC], facts)
    (batch,), (truth,) = dataset.batches(1), dataset.truths()
    white = np.argwhere(batch.array[0, 0] > 0.5)
    (moved,) = truth.placement.to_input(truth.boxes)
    seen = [*white.min(0)[::-1], *(white.max(0)[::-1] + 1)]
    assert np.abs(np.clip(moved, 0, 64) - seen).max() <= 1
    if facts is None:
        assert np.allclose(truth.placement.to_picture(moved[None]), truth.boxes)


def test_boxes_beyond_the_picture_are_cut(tmp_path):
    write_coco(tmp_path)
    placement = truths(tmp_path)[0].placement
    found = placement.to_picture(np.array([[-9.0, -9, 99, 99]]))
    assert found.tolist() == [[0, 0, 40, 20]]


def change(key, **fields):
    entries = [dict(entry) for entry in document()[key]]
    entries[0].update(fields)
    return {key: entries}


BAD = {
    "no list": ({"images": 5}, "no list of images"),
    "no object": ({"annotations": [3]}, r"annotations\[0\] is no object"),
    "no image": ({"images": []}, "lists no image"),
    "id": (change("images", id="7"), r"images\[0\]: id is '7'"),
    "twice": (change("images", id=3), r"images\[1\]: image 3 is there twice"),
    "category twice": (change("categories", id=2), r"categories\[1\]: category 2"),
    "width": (change("images", width=-4), r"images\[0\]: width is -4"),
    "file": (change("images", file_name=["a"]), "wanted a text"),
    "name": (change("categories", name=None), r"categories\[0\]: name is None"),
    "parent": (change("images", file_name="../a.png"), "leads out of the folder"),
    "absolute": (change("images", file_name="/etc/passwd"), "leads out of the folder"),
    "zero byte": (change("images", file_name="a\0.png"), "leads out of the folder"),
    "missing": (change("images", file_name="c.png"), r"images\[0\]: 'c.png' is not in"),
    "long": (change("images", file_name="c" * 999), "cannot be looked up|is not in"),
    "unknown image": (change("annotations", image_id=8), "there is no image 8"),
    "unknown category": (change("annotations", category_id=8), "there is no category 8"),
    "switch": (change("annotations", category_id=True), "category_id is True"),
    "crowd": (change("annotations", iscrowd="no"), "iscrowd is 'no'"),
    "negative": (change("annotations", bbox=[1, 1, -2, 2]), "has a negative size"),
    "three": (change("annotations", bbox=[1, 1, 2]), "wanted x, y, width, height"),
    "words": (change("annotations", bbox=[1, 1, 2, "2"]), "wanted x, y, width, height"),
    "huge": (change("annotations", bbox=[1, 1, 2, 1e300]), "wanted x, y, width, height"),
    "nan": (change("annotations", bbox=[1, 1, 2, float("nan")]), "holds NaN"),
    "size": (change("images", width=39), "has 40 x 20 pixels, its annotations say 39 x 20"),
}


@pytest.mark.parametrize(("changes", "said"), BAD.values(), ids=BAD)
def test_damaged_annotations_are_refused_by_their_entry(tmp_path, changes, said):
    write_coco(tmp_path, **changes)
    with pytest.raises(InputError, match=said) as caught:
        list(open_dataset(tmp_path, [SPEC], None).batches(2))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 5000, '{"images": [{}]}'])
def test_damaged_documents_are_refused(tmp_path, content):
    write_coco(tmp_path).write_text(content)
    with pytest.raises(InputError, match=r"_annotations.coco.json"):
        truths(tmp_path)


def test_sizes_are_told_before_anything_is_read(tmp_path, monkeypatch):
    path = write_coco(tmp_path)
    os.truncate(path, coco.LARGEST + 1)  # a hole: it takes no disk
    with pytest.raises(InputError, match="over 128 MiB"):
        truths(tmp_path)
    write_yolo(tmp_path / "y")
    os.truncate(tmp_path / "y" / "labels" / "a.txt", yolo.LARGEST + 1)
    with pytest.raises(InputError, match="over 1 MiB"):
        truths(tmp_path / "y")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 0.5 0.5 0.5", "is no box"),
        ("1 0.5 0.5 0.5 0.5 0.5 0.5", "is no box"),
        ("frog 0.5 0.5 0.5 0.5", "is no box"),
        ("1 0.5 0.5 nan 0.5", "is no box"),
        ("1.5 0.5 0.5 0.5 0.5", "the class is 1.5"),
        ("-1 0.5 0.5 0.5 0.5", "the class is -1"),
        ("1e99 0.5 0.5 0.5 0.5", "the class is 1e"),
        ("1 0.5 0.5 -0.5 0.5", "wanted fractions"),
        ("1 320 200 50 50", "wanted fractions"),
        ("\x1b[2J", "is no box"),
    ],
)
def test_damaged_labels_are_refused_by_their_line(tmp_path, line, said):
    write_yolo(tmp_path, f"0 0.5 0.5 0.5 0.5\n{line}\n")
    with pytest.raises(InputError, match=f"labels/a.txt, line 2: .*{said}"):
        truths(tmp_path)


def test_links_that_lead_out_are_not_followed(tmp_path):
    paint(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "elsewhere" / "a.txt").write_text("0 0.5 0.5 0.5 0.5")
    data = tmp_path / "data"
    write_coco(data)
    (data / "a.png").unlink()
    (data / "a.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    with pytest.raises(InputError, match="leads out of the folder"):
        truths(data)
    for kind in ("images", "labels"):
        write_yolo(tmp_path / kind)
        name = "a.png" if kind == "images" else "a.txt"
        (tmp_path / kind / kind / name).unlink()
        (tmp_path / kind / kind / name).symlink_to(tmp_path / "elsewhere" / name)
        with pytest.raises(InputError, match="leads out of the folder"):
            truths(tmp_path / kind)
    linked = tmp_path / "linked"
    (linked / "labels").mkdir(parents=True)
    (linked / "images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leads out of its folder"):
        truths(linked)


def test_an_input_that_is_no_picture_takes_no_boxes(tmp_path):
    write_coco(tmp_path)
    with pytest.raises(InputError, match="which the input .* does not take"):
        truths(tmp_path, spec=TensorSpec("feats", "float32", ("n", 200, 80)))


def test_class_folders_stay_class_folders(tmp_path):
    for name in ("images", "frogs"):
        paint(tmp_path / name / "a.png")
    dataset = open_dataset(tmp_path, [SPEC], FACTS["cropped"])
    assert (dataset.classes, dataset.truths()) == (("frogs", "images"), None)
