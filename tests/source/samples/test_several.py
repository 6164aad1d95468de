"""An .npz with an array for each input of a network: what is read of it, and what is refused."""

import numpy as np
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.samples import open_dataset
from simam_deploy.source.samples.inputs import feeds_of

INPUTS = (
    TensorSpec("limit", "float32", ()),
    TensorSpec("left", "float32", ("n", 3, "h", 4)),
    TensorSpec("y", "int32", ("n", 5)),
    TensorSpec("mask", "bool", ("n", 4)),
    TensorSpec("bytes", "uint8", ("n",)),
    TensorSpec("anchors", "bfloat16", (1, 2)),
)
"""Of every kind, one named as labels often are, and two that are the same for every sample."""


def arrays(rows=5):
    rng = np.random.default_rng(rows)
    return {
        "left": rng.standard_normal((rows, 3, 6, 4)),
        "y": rng.integers(-9, 9, (rows, 5)),
        "mask": rng.integers(0, 2, (rows, 4)).astype(bool),
        "bytes": np.arange(rows),
        "labels": np.arange(rows)[::-1],
        "unused": np.zeros(2),
        "limit": np.float64(0.5),
        "anchors": np.array([[1.5, 2]], np.float16),
    }


def opened(folder, most=None, **changed):
    given = {**arrays(), **changed}
    path = folder / "s.npz"
    np.savez_compressed(path, **{key: a for key, a in given.items() if a is not None})
    return open_dataset(path, INPUTS, None, limit=most)


def test_each_input_has_the_array_of_its_name_in_its_own_type(tmp_path):
    dataset = opened(tmp_path)
    assert len(dataset) == 5
    assert dataset.notes == ()
    feeds = [feeds_of(INPUTS, batch) for batch in dataset.batches(2)]
    assert [len(each["left"]) for each in feeds] == [2, 2, 1]
    for spec in INPUTS:
        wanted = "float32" if spec.dtype == "bfloat16" else spec.dtype
        assert {each[spec.name].dtype.name for each in feeds} == {wanted}
    for name in ("left", "y", "mask", "bytes"):
        got = np.concatenate([each[name] for each in feeds])
        np.testing.assert_array_equal(got, arrays()[name].astype(got.dtype), err_msg=name)
    for each in feeds:
        assert each["limit"] == np.float32(0.5)
        assert each["limit"].shape == ()
        assert each["anchors"].tolist() == [[1.5, 2]]
    assert [n for batch in dataset.batches(2) for n in batch.labels] == [4, 3, 2, 1, 0]


def test_rows_stay_together_where_some_are_chosen(tmp_path):
    (batch,) = opened(tmp_path, most=2).batches(9)
    assert batch.others["bytes"].tolist() == [0, 2]
    np.testing.assert_array_equal(batch.array, arrays()["left"][[0, 2]].astype(np.float32))
    assert batch.labels.tolist() == [4, 2]


def test_an_input_that_is_named_as_labels_is_none(tmp_path):
    dataset = opened(tmp_path, labels=None)
    assert not dataset.labelled
    assert next(dataset.batches(1)).labels is None


def test_a_batch_is_filled_up_with_its_last_row(tmp_path):
    (batch,) = opened(tmp_path).batches(9)
    full = batch.filled(7)
    assert full.others["bytes"].tolist() == [0, 1, 2, 3, 4, 4, 4]
    assert len(full) == len(full.others["mask"]) == 7
    assert full.whole["anchors"].shape == (1, 2)
    assert batch.filled(None) is batch.filled(5) is batch


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("y", None, r"s\.npz has no array y; there is anchors, bytes, labels, left, limit, mask"),
        ("anchors", None, r"s\.npz has no array anchors"),
        ("left", np.zeros((5, 3, 6, 5)), r"s\.npz:left is float64 \(5, 3, 6, 5\): wanted left fl"),
        ("left", np.zeros((5, 3, 6, 4), np.uint8), r"s\.npz:left is uint8 .*: wanted left float32"),
        ("y", np.zeros((5, 5)), r"s\.npz:y is float64 \(5, 5\): wanted y int32 n x 5"),
        ("mask", np.zeros((5, 4), int), r"s\.npz:mask is int64 \(5, 4\): wanted mask bool"),
        ("mask", np.zeros((4, 4), bool), r"s\.npz:mask has 4 rows and s\.npz:left 5"),
        ("bytes", np.zeros(6, int), r"s\.npz:bytes has 6 rows and s\.npz:left 5"),
        ("bytes", np.zeros((), int), r"s\.npz:bytes has shape \(\): there are no samples in it"),
        ("labels", np.zeros(4, int), r"s\.npz:labels is int64 \(4,\): wanted whole numbers, one"),
        ("limit", np.zeros(5), r"s\.npz:limit is float64 \(5,\): wanted limit float32"),
        ("anchors", np.zeros((5, 2)), r"s\.npz:anchors is float64 \(5, 2\): wanted anchors bfloat"),
        ("anchors", np.array([[1, np.nan]]), r"s\.npz:left\[0\], anchors holds 1 NaN or infinite"),
        ("left", np.full((5, 3, 6, 4), 1e300), r"s\.npz:left\[0\] holds 72 NaN or infinite"),
        ("bytes", np.array([256, 0, 0, 0, 0]), r"s\.npz:bytes holds 256 to 256: uint8 does not"),
        ("y", np.full((5, 5), 2**31), r"s\.npz:y holds 2147483648 to 2147483648: int32 does not"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(name, array, says, tmp_path):
    with pytest.raises(InputError, match=says):
        opened(tmp_path, **{name: array})


def test_a_row_further_on_is_named(tmp_path):
    left, tokens = arrays()["left"], arrays()["y"]
    left[3, 0, 0, 0], tokens[4, 4] = np.inf, 2**40
    dataset = opened(tmp_path, left=left)
    with pytest.raises(InputError, match=r"s\.npz:left\[3\] holds 1 NaN or infinite values"):
        list(dataset.batches(2))
    dataset = opened(tmp_path, y=tokens)
    with pytest.raises(InputError, match=r"s\.npz:y holds -?\d+ to 1099511627776: int32 does not"):
        list(dataset.batches(2))


def test_no_other_files_serve(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    wanted = "wanted an .npz with an array for each input, left, y, mask, bytes, limit, anchors"
    for name, problem in (("x.npy", "is none"), ("", "is none"), ("no.npz", "does not exist")):
        with pytest.raises(InputError, match=f"{problem}: {wanted}"):
            open_dataset(tmp_path / name, INPUTS, None)
