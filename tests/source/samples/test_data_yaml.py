"""YOLO's data.yaml: names and folders of it, and what of a stranger's is refused."""

import numpy as np
import pytest
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.samples import data_yaml, open_dataset

SPEC = TensorSpec("images", "float32", ("batch", 3, 64, 64))


def write(folder, text, images="images", boxes="1 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.25 0.25\n"):
    """Pictures in a folder, their labels beside, and a data.yaml at the root."""
    for kind in (images, images.replace("images", "labels")):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(folder / images / "a.png")
    (folder / images.replace("images", "labels") / "a.txt").write_text(boxes)
    (folder / "data.yaml").write_text(text)
    return folder / "data.yaml"


def labels(path, names=None):
    dataset = open_dataset(path, [SPEC], None, names=names)
    return [truth.labels.tolist() for truth in dataset.truths()], dataset.classes


NAMES = {
    "a list": "names: [frog, toad]",
    "a block": "names:\n- frog\n- toad\n",
    "numbered": "names:\n  0: frog\n  1: toad\n",
    "counted": "nc: 2\nnames: ['frog', 'toad']\n",
    "with a mark": "\ufeffnames: [frog, toad]\n",
}


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES)
def test_names_are_matched_with_the_networks(tmp_path, text):
    write(tmp_path, text)
    assert labels(tmp_path) == ([[1, 0]], ("frog", "toad"))
    assert labels(tmp_path / "images", ["newt", "toad", "frog"])[0] == [[1, 2]]


FOLDERS = {
    "ultralytics": ("val: images/val\ntrain: images/train\nnames: [a, b]", "images/val"),
    "below a path": ("path: sets\nval: images\nnames: [a, b]", "sets/images"),
    "roboflow": ("train: ../train/images\nval: ../valid/images\nnames: [a, b]", "valid/images"),
    "test alone": ("val:\ntest: test/images\nnames: [a, b]", "test/images"),
    "no val": ("val: ~\ntrain: images/train\nnames: [a, b]", "images/train"),
    "a path that is not here": ("path: ../datasets/x\nval: images\nnames: [a, b]", "images"),
}


@pytest.mark.parametrize(("text", "images"), FOLDERS.values(), ids=FOLDERS)
def test_the_file_names_the_folder(tmp_path, text, images):
    path = write(tmp_path, text, images)
    assert labels(path) == ([[1, 0]], ("a", "b"))
    if not (tmp_path / "images").exists():
        assert labels(tmp_path) == ([[1, 0]], ("a", "b"))


BAD = {
    "no names": ("val: images\nnames: 5", "must be a list, or numbered from 0"),
    "gaps": ("val: images\nnames: {0: a, 2: b}", "must be a list, or numbered from 0"),
    "escape": ('val: images\nnames: [a, "\\e[2J"]', "must be a list, or numbered from 0"),
    "nested": ("val: images\nnames: [a, [b]]", "must be a list, or numbered from 0"),
    "count": ("val: images\nnc: 3\nnames: [a, b]", "2 names, and nc says '3'"),
    "few": ("val: images\nnames: [a]", "boxes have the class 1, and 1 classes are named"),
    "no folder": ("names: [a, b]", "names no folder of pictures: wanted val, test, train"),
    "outside": ("val: ../../etc\nnames: [a, b]", r"val is '\.\./\.\./etc', no folder in"),
    "absolute": ("val: /etc\nnames: [a, b]", "val is '/etc', no folder in"),
    "path outside": ("path: /\nval: etc\nnames: [a, b]", "val is 'etc', no folder in"),
    "a list of folders": ("val: [images]\nnames: [a, b]", "no folder in"),
    "no images": ("val: labels\nnames: [a, b]", "lies in no folder images"),
    "zero byte": ('val: "a\\0"\nnames: [a, b]', "no folder in"),
    "no mapping": ("- a\n- b", "holds no mapping"),
    "empty": ("", "holds no mapping"),
    "no YAML": ("a: [", "holds no YAML"),
    "an object": ("!!python/object/apply:os.system [true]", "holds no mapping"),
    "deep": ("[" * 20_000, "nested too deeply"),
    "beyond Unicode": ('names: ["\\UFFFFFFFF"]', "holds no YAML"),
    "two documents": ("val: images\n---\nnames: [a, b]", "holds no YAML"),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_what_a_file_may_not_say(tmp_path, text, says):
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=says) as caught:
        labels(path)
    assert len(str(caught.value)) < 500 + 2 * len(str(tmp_path))
    assert "\x1b" not in str(caught.value)


def test_pictures_without_a_folder_of_labels_are_not_taken_for_empty_ones(tmp_path):
    path = write(tmp_path, "val: images/val\nnames: [a, b]", "images/val")
    (tmp_path / "labels" / "val").rename(tmp_path / "labels" / "other")
    with pytest.raises(InputError, match=r"no folder .*labels/val of labels for .*images/val"):
        labels(path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    write(tmp_path / "other", "names: [a, b]")
    path = write(tmp_path / "data", "val: linked/images\nnames: [a, b]")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match="no folder in"):
        labels(path)


def test_nothing_grows_by_being_repeated(tmp_path):
    """Ten lists of ten of the one before: a tree of ten thousand million, if it were walked."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 11)]
    merged = "m: &m {k: v}\nn: {<<: [*m, *m, *m]}\n"
    path = write(tmp_path, "\n".join([*lines, merged, "val: images", "names: [a, b]"]))
    assert labels(path)[1] == ("a", "b")


def test_a_large_file_is_not_read(tmp_path):
    path = write(tmp_path, "names: [a, b]\n#" + "x" * data_yaml.LARGEST)
    with pytest.raises(InputError, match="it has 0.262 MB, over 256 KiB"):
        labels(path)
