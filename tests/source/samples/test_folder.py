"""Pictures in folders: labels, what is left alone, and what is refused."""

import os

import numpy as np
import pytest
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError, UsageError
from simam_deploy.models.zoo import CIFAR
from simam_deploy.source.samples import open_dataset

SPEC = TensorSpec("input", "float32", ("batch", 3, 32, 32))
FACTS = CIFAR.preprocessing


def paint(path, value, size=(32, 32), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def expected(color):
    return (np.array(color) / 255 - FACTS["mean"]) / FACTS["std"]


def everything(dataset, size=2):
    batches = list(dataset.batches(size))
    labels = [b.labels for b in batches if b.labels is not None]
    return np.concatenate([b.array for b in batches]), np.concatenate(labels) if labels else None


def test_loose_pictures_have_no_labels(tmp_path):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    for name, color in zip("abc", colors, strict=True):
        paint(tmp_path / f"{name}.png", color)
    (tmp_path / "readme.txt").write_text("not a picture")
    dataset = open_dataset(tmp_path, [SPEC], FACTS)
    assert (len(dataset), dataset.labelled, dataset.classes) == (3, False, None)
    assert dataset.name == tmp_path.name
    assert dataset.notes == ("files that are no pictures (.txt) were left out: 1",)
    for _ in range(2):  # it may be read again
        array, labels = everything(dataset)
        assert labels is None
        assert array.dtype == np.float32
        assert array.shape == (3, 3, 32, 32)
        for sample, color in zip(array, colors, strict=True):
            np.testing.assert_allclose(sample[:, 5, 7], expected(color), rtol=1e-5)


def test_what_is_left_out_is_counted_and_said(tmp_path):
    for name in ("._1.png", ".DS_Store", "Thumbs.db", "a.txt", "b.TXT", "c.gif", "noend"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("1.png", "2.PNG", "3.jpeg"):
        paint(tmp_path / name, 0)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "empty").mkdir()
    dataset = open_dataset(tmp_path, [SPEC], FACTS)
    assert (len(dataset), dataset.labelled, dataset.by_place) == (3, False, False)
    assert dataset.notes == (
        "hidden files were left out: 3",
        "files that are no pictures (.db, .gif, .txt, no suffix) were left out: 5",
    )


def test_hidden_files_beside_class_folders_are_no_pictures(tmp_path):
    """What macOS leaves on other file systems: bytes of no picture under a picture's name."""
    for name in ("cat", "dog"):
        paint(tmp_path / name / "1.png", 0)
        (tmp_path / name / "._1.png").write_bytes(b"\0\5\x16\7")
        (tmp_path / name / "deep").mkdir()
    (tmp_path / "._0.png").write_bytes(b"\0\5\x16\7")
    paint(tmp_path / "cat" / "@eaDir" / "1.png", 0)
    (tmp_path / "__MACOSX" / "cat").mkdir(parents=True)
    dataset = open_dataset(tmp_path, [SPEC], FACTS)
    assert (len(dataset), dataset.classes) == (2, ("cat", "dog"))
    assert dataset.notes == (
        "folders within folders of pictures were left out: 2",
        "hidden files were left out: 5",
    )


def test_pictures_beside_class_folders_are_refused_with_their_counts(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "loose.png", "also.png", "third.jpg"):
        paint(tmp_path / name, 0)
    with pytest.raises(InputError, match=r"3 pictures beside 2 folders of pictures \(cat, dog\)"):
        open_dataset(tmp_path, [SPEC], FACTS)


NAMES = ["frog", "sea lion", "cat", "dog"]


def test_class_folders_are_matched_by_name_and_not_by_place(tmp_path):
    for number, name in enumerate(("dog", "cat", "Sea_Lion", "FROG")):
        paint(tmp_path / name / "1.png", 60 * number)
    dataset = open_dataset(tmp_path, [SPEC], FACTS, names=NAMES)
    assert (dataset.classes, dataset.by_place) == (tuple(NAMES), False)
    array, labels = everything(dataset)
    np.testing.assert_array_equal(labels, [0, 1, 2, 3])
    reds = array[:, 0, 0, 0] * FACTS["std"][0] + FACTS["mean"][0]
    np.testing.assert_allclose(reds * 255, [180, 120, 60, 0], atol=1e-3)


def test_some_of_the_classes_have_their_own_labels(tmp_path):
    for name in ("dog", "frog", "empty of pictures"):
        (tmp_path / name).mkdir()
    for name in ("dog", "frog"):
        paint(tmp_path / name / "1.png", 0)
    dataset = open_dataset(tmp_path, [SPEC], FACTS, names=NAMES)
    np.testing.assert_array_equal(everything(dataset)[1], [0, 3])


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        (("cat", "wolf", "bear"), r"2 of 3 class folders are named as no .*\(bear, wolf; its"),
        (("n01440764", "n01443537"), r"2 of 2 .*its classes: frog, sea lion, cat, \.\.\.\)"),
        (("0", "4"), r"2 of 2 .*\(0, 4;"),
        (("dog", "Dog"), "class folders Dog and dog are one class"),
        (("sea lion", "sea-lion"), "class folders sea lion and sea-lion are one class"),
    ],
)
def test_folders_that_are_no_classes_are_refused(tmp_path, folders, says):
    for name in folders:
        paint(tmp_path / name / "1.png", 0)
    with pytest.raises(InputError, match=says):
        open_dataset(tmp_path, [SPEC], FACTS, names=NAMES)


def test_numbers_are_places_whatever_the_classes_are_called(tmp_path):
    for name in ("3", "01"):
        paint(tmp_path / name / "1.png", 0)
    dataset = open_dataset(tmp_path, [SPEC], FACTS, names=NAMES)
    assert (dataset.classes, dataset.by_place) == (tuple(NAMES), False)
    np.testing.assert_array_equal(everything(dataset)[1], [1, 3])


def test_numbers_that_are_names_are_names(tmp_path):
    for name in ("3", "7"):
        paint(tmp_path / name / "1.png", 0)
    dataset = open_dataset(tmp_path, [SPEC], FACTS, names=["7", "5", "3"])
    np.testing.assert_array_equal(everything(dataset)[1], [0, 2])


def test_words_are_numbered_in_their_order(tmp_path):
    for name in ("dog", "cat", "eel"):
        paint(tmp_path / name / "1.png", 0)
    paint(tmp_path / "cat" / "2.png", 0)
    (tmp_path / ".hidden").mkdir()
    dataset = open_dataset(tmp_path, [SPEC], FACTS)
    assert (dataset.classes, dataset.by_place) == (("cat", "dog", "eel"), True)
    np.testing.assert_array_equal(everything(dataset)[1], [0, 0, 1, 2])
    assert next(dataset.batches(3)).labels.dtype == np.int64


def test_numbers_number_themselves(tmp_path):
    for name in ("10", "2", "0"):
        paint(tmp_path / name / "1.png", 0)
    dataset = open_dataset(tmp_path, [SPEC], FACTS)
    assert (dataset.classes, dataset.by_place) == (("0", "2", "10"), False)
    np.testing.assert_array_equal(everything(dataset)[1], [0, 2, 10])


def test_two_names_of_one_number(tmp_path):
    for name in ("1", "01"):
        paint(tmp_path / name / "1.png", 0)
    with pytest.raises(InputError, match="01 and 1 are one number"):
        open_dataset(tmp_path, [SPEC], FACTS)


def test_a_limit_takes_of_every_class(tmp_path):
    for label in range(4):
        for count in range(5):
            paint(tmp_path / str(label) / f"{count}.png", 0)
    dataset = open_dataset(tmp_path, [SPEC], FACTS, limit=8)
    assert len(dataset) == 8
    np.testing.assert_array_equal(everything(dataset, 3)[1], [0, 0, 1, 1, 2, 2, 3, 3])
    assert len(open_dataset(tmp_path, [SPEC], FACTS, limit=99)) == 20
    with pytest.raises(UsageError, match="at least 1, got 0"):
        open_dataset(tmp_path, [SPEC], FACTS, limit=0)


def test_a_single_picture_is_noted(tmp_path):
    paint(tmp_path / "one.jpg", 0)
    dataset = open_dataset(tmp_path, [SPEC], FACTS)
    assert len(dataset) == 1
    assert "single sample" in dataset.notes[0]


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    inside, outside = tmp_path / "data", tmp_path / "outside"
    paint(inside / "cat" / "1.png", 0)
    paint(outside / "secret.png", 0)
    (inside / "cat" / "2.png").symlink_to(outside / "secret.png")
    (inside / "cat" / "3.png").symlink_to(inside / "cat" / "1.png")
    (inside / "dog").symlink_to(outside)
    dataset = open_dataset(inside, [SPEC], FACTS)
    assert len(dataset) == 2
    assert dataset.classes == ("cat",)
    assert dataset.notes == ("links that lead out of the folder were left out: 2",)


def test_a_pipe_named_like_a_picture_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match="holds no picture"):
        open_dataset(tmp_path, [SPEC], FACTS)


@pytest.mark.parametrize("names", [(), ("notes.txt",), ("deep/deeper/1.png",)])
def test_no_picture(names, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"holds no picture \(\.bmp.*nor do its subfolders"):
        open_dataset(tmp_path, [SPEC], FACTS)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_the_first_bad_picture_is_named(content, tmp_path):
    paint(tmp_path / "b" / "2.png", 0)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a/1\.png cannot be decoded"):
        open_dataset(tmp_path, [SPEC], FACTS)


@pytest.mark.parametrize(
    ("suffix", "says"),
    [
        ("jpg", "image file is truncated"),
        ("png", "image file is truncated"),
        ("bmp", "image file is truncated"),
        ("tif", ""),
        ("webp", ""),
    ],
)
def test_a_truncated_picture_is_an_error(tmp_path, suffix, says):
    rng = np.random.default_rng(0)
    file, cut = tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(file)
    content = file.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    dataset = open_dataset(tmp_path, [SPEC], FACTS)
    with pytest.raises(InputError, match=rf"2\.{suffix} cannot be decoded: {says}"):
        list(dataset.batches(4))


def test_a_format_that_starts_programs_is_not_tried(tmp_path):
    (tmp_path / "1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(InputError, match="cannot be decoded"):
        open_dataset(tmp_path, [SPEC], FACTS)


def test_a_decompression_bomb_is_an_error(tmp_path, monkeypatch):
    paint(tmp_path / "1.png", 0, (64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)  # 4096 is a warning in Pillow
    with pytest.raises(InputError, match=r"1\.png cannot be decoded.*exceeds limit"):
        open_dataset(tmp_path, [SPEC], FACTS)


def test_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((32, 32), 40000, np.uint16)).save(tmp_path / "1.png")
    with pytest.raises(InputError, match="mode I;16: wanted 8 bits"):
        open_dataset(tmp_path, [SPEC], FACTS)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_mode_becomes_rgb(mode, tmp_path):
    paint(tmp_path / "1.tif", 0, mode=mode)
    (batch,) = open_dataset(tmp_path, [SPEC], FACTS).batches(1)
    assert batch.array.shape == (1, 3, 32, 32)


def test_a_network_that_says_nothing_of_pictures(tmp_path):
    paint(tmp_path / "1.png", 0)
    with pytest.raises(InputError, match=r"nothing says how.*\.npz of float arrays"):
        open_dataset(tmp_path, [SPEC], None)


def test_pillow_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'simam-deploy\[images\]'"):
        open_dataset(tmp_path, [SPEC], FACTS)


def test_neither_folder_nor_file(tmp_path):
    with pytest.raises(InputError, match="does not exist: wanted a folder of pictures"):
        open_dataset(tmp_path / "nothing", [SPEC], FACTS)
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(InputError, match="is neither a folder of pictures"):
        open_dataset(tmp_path / "a.csv", [SPEC], FACTS)
