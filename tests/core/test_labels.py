"""Names of classes: how they are read, how many there may be, and which is which."""

import pytest

from simam_deploy.core.labels import check_number, match_names, read_labels
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError

WRITTEN = {
    "plain": b"cat\nsea lion\ndog\n",
    "no end": b"cat\nsea lion\ndog",
    "mark": b"\xef\xbb\xbfcat\nsea lion\ndog\n",
    "windows": b"cat\r\nsea lion\r\ndog\r\n",
    "mac": b"cat\rsea lion\rdog\r",
    "blank end": b"cat\nsea lion\ndog\n\n  \n\t\n",
    "tabs": b"cat\t\nsea\tlion\n\tdog\n",
    "no-break space": "cat\nsea\u00a0lion\ndog\u00a0\n".encode(),
    "all": "\ufeffcat \r\n sea \t\u00a0lion\r\ndog\r\n\r\n".encode(),
}


@pytest.mark.parametrize("content", WRITTEN.values(), ids=WRITTEN)
def test_how_a_file_is_written_makes_no_difference(tmp_path, content):
    (tmp_path / "names.txt").write_bytes(content)
    assert read_labels(tmp_path / "names.txt") == ("cat", "sea lion", "dog")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no class names"),
        (b"\xef\xbb\xbf\r\n \r\n", "holds no class names"),
        (b"cat\n\ndog\n", "line 2"),
        (b"\n\ncat\n", "line 1"),
        (b"cat\n\x1b[2J\n", "line 2"),
        ("cat\nd\u200bog\n".encode(), "line 2"),
        ("cat\ndog\n".encode("utf-16"), "not UTF-8"),
        ("k\u00e4se\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_what_is_no_name_is_refused_by_its_line(tmp_path, content, says):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_labels(tmp_path / "names.txt")
    assert "\x1b" not in str(caught.value)


def outputs(*shapes, dtype="float32"):
    return [TensorSpec(f"o{i}", dtype, shape) for i, shape in enumerate(shapes)]


FITS = {
    "scores": (outputs(("batch", 10)), {10}),
    "scores of a fixed batch": (outputs((4, 10), dtype="float16"), {10}),
    "a map of scores": (outputs(("batch", 10, "h", "w")), {10}),
    "two heads": (outputs((1, 10), (1, 3)), {3, 10}),
    "yolov8": (outputs((1, 14, 8400)), {10}),
    "yolov8 of free sizes": (outputs(("batch", 14, "cells")), {10}),
    "yolov8 with masks": (outputs((1, 14 + 32, 8400), (1, 32, 160, 160)), {10, 42}),
    "yolov8 of fewer cells than classes": (outputs((1, 104, 14)), {100, 9, 10}),
    "yolov5": (outputs((1, 25200, 15)), {10, 11}),
    "boxes apart, a background": (outputs((1, 100, 11), (1, 100, 4)), {10, 11}),
}


@pytest.mark.parametrize(("specs", "fitting"), FITS.values(), ids=FITS)
def test_the_number_of_names_must_be_that_of_the_scores(specs, fitting):
    for count in (0, 1, 3, 7, 9, 10, 11, 12, 14, 42, 100):
        names = [f"name {i}" for i in range(count)]
        if count in fitting:
            check_number(names, specs)
        else:
            with pytest.raises(InputError, match=rf"^{count} class.* named, .* scores of .*10"):
                check_number(names, specs)


@pytest.mark.parametrize(
    "specs",
    [
        outputs((1, 300, 6)),  # x1 y1 x2 y2 score class
        outputs((1, 100, 4), (1, 100), (1, 100)),
        outputs((1, 100, 5), (1, 100)),
        outputs(("batch", "classes")),
        outputs((1, 10), dtype="int64"),
        outputs((1,)),
        outputs((-1, -1, -1)),
        [],
    ],
)
def test_any_number_goes_with_outputs_that_do_not_tell(specs):
    for count in (0, 1, 7, 300):
        check_number(["name"] * count, specs)


def test_names_are_found_as_written_first_and_then_as_people_spell_them():
    known = ("sea lion", "Cat", "cat", "ca\u0308se", "a_b", "a b")
    places = match_names(["cat", "Cat", "Sea_Lion", "SEA-LION", "c\u00e4se", "dog", "CAT"], known)
    assert places == {"cat": 2, "Cat": 1, "Sea_Lion": 0, "SEA-LION": 0, "c\u00e4se": 3}
    assert match_names(["a-b", "a_b"], known) == {"a_b": 4}, "a-b stands for two"
    assert match_names(["cat"], ["cat", "cat"]) == {}


def test_many_names_are_matched_at_once():
    """A file of strangers' may name a million."""
    names = [f"name {i}" for i in range(100_000)]
    assert match_names(names[::-1], names)["name 99999"] == 99_999
