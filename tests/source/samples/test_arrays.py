"""Arrays in files: taken as they are, prepared like pictures, or refused."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.models.zoo import CIFAR, WESPEAKER
from simam_deploy.source.samples import open_dataset
from simam_deploy.source.samples.preparation import read_preparation

SPEC = TensorSpec("input", "float32", ("batch", 3, 32, 32))
FACTS = CIFAR.preprocessing
RNG = np.random.default_rng(0)
FLOATS = RNG.standard_normal((5, 3, 32, 32)).astype(np.float32)
PIXELS = RNG.integers(0, 255, (4, 20, 40, 3), np.uint8)


def opened(path, *, save=np.savez, spec=SPEC, facts=FACTS, **arrays):
    save(path, **arrays)
    return open_dataset(path, [spec], facts)


def joined(dataset, size=2):
    return np.concatenate([b.array for b in dataset.batches(size)])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("name", ["input", "images", "x", "data"])
def test_floats_are_taken_as_they_are(name, save, tmp_path):
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    dataset = opened(tmp_path / "a.npz", save=save, **{name: FLOATS, "labels": labels})
    assert (len(dataset), dataset.labelled, dataset.classes) == (5, True, None)
    for _ in range(2):
        np.testing.assert_array_equal(joined(dataset), FLOATS)
        read = np.concatenate([b.labels for b in dataset.batches(2)])
        assert read.dtype == np.int64
        np.testing.assert_array_equal(read, labels)


def test_the_inputs_own_name_comes_first(tmp_path):
    dataset = opened(tmp_path / "a.npz", input=FLOATS, x=np.zeros_like(FLOATS))
    np.testing.assert_array_equal(joined(dataset), FLOATS)


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "f2"])
def test_npy_of_any_float(dtype, tmp_path):
    np.save(tmp_path / "a.npy", FLOATS.astype(dtype))
    dataset = open_dataset(tmp_path / "a.npy", [SPEC], None)
    assert not dataset.labelled
    np.testing.assert_array_equal(joined(dataset), FLOATS.astype(dtype).astype(np.float32))


def test_a_limit_skips_evenly(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=FLOATS, y=np.arange(5))
    dataset = open_dataset(tmp_path / "a.npz", [SPEC], FACTS, limit=2)
    (batch,) = dataset.batches(8)
    np.testing.assert_array_equal(batch.array, FLOATS[[0, 2]])
    np.testing.assert_array_equal(batch.labels, [0, 2])


@pytest.mark.parametrize(
    ("pixels", "as_pictures"),
    [
        (PIXELS, PIXELS),
        (PIXELS.transpose(0, 3, 1, 2), PIXELS),
        (PIXELS[..., 0], np.repeat(PIXELS[..., :1], 3, axis=3)),
    ],
    ids=["NHWC", "NCHW", "grey"],
)
def test_bytes_are_prepared_like_pictures(pixels, as_pictures, tmp_path):
    got = joined(opened(tmp_path / "a.npz", images=pixels))
    prepare = read_preparation(FACTS, SPEC)
    want = np.stack([prepare(Image.fromarray(p)) for p in as_pictures])
    np.testing.assert_array_equal(got, want)


def test_audio_of_any_length(tmp_path):
    spec = TensorSpec("feats", "float32", ("batch", "frames", 80))
    feats = RNG.standard_normal((3, 57, 80)).astype(np.float32)
    dataset = opened(tmp_path / "a.npz", spec=spec, facts=WESPEAKER.preprocessing, feats=feats)
    np.testing.assert_array_equal(joined(dataset), feats)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (FLOATS[0], r"float32 \(3, 32, 32\): wanted floats input float32 batch x 3 x 32 x 32"),
        (FLOATS[:, :, :31], r"\(5, 3, 31, 32\): wanted floats"),
        (FLOATS.astype(np.int64), "is int64"),
        (np.zeros((4, 20, 40, 4), np.uint8), "or uint8 pictures"),
        (np.zeros((0, 3, 32, 32), np.float32), "no samples"),
        (np.float32(3), "no samples"),
        (np.asfortranarray(FLOATS), "column-major"),
        (np.zeros(3, [("a", "f4")]), "wanted plain numbers"),
    ],
)
def test_what_does_not_fit_is_refused(array, message, tmp_path):
    with pytest.raises(InputError, match=message):
        opened(tmp_path / "a.npz", x=array)


def test_pickled_arrays_are_not_opened(tmp_path):
    with pytest.raises(InputError, match="of object: wanted plain numbers"):
        opened(tmp_path / "a.npz", x=np.array([{"a": 1}, None], dtype=object))


def test_missing_names_are_listed(tmp_path):
    with pytest.raises(InputError, match="no array input, images, x, data; there is pictures"):
        opened(tmp_path / "a.npz", pictures=FLOATS)


@pytest.mark.parametrize("labels", [np.arange(4), np.zeros((5, 1), int), np.zeros(5), np.int64(1)])
def test_labels_that_do_not_fit(labels, tmp_path):
    with pytest.raises(InputError, match=r"labels is|labels has shape"):
        opened(tmp_path / "a.npz", x=FLOATS, labels=labels)


@pytest.mark.parametrize("label", [-1, 2**40, 2**64 - 1])
def test_impossible_labels(label, tmp_path):
    labels = np.array([0, label], np.uint64 if label > 2**63 else np.int64)
    dataset = opened(tmp_path / "a.npz", x=FLOATS[:2], y=labels)
    with pytest.raises(InputError, match=rf"x\[1\] has the label {label}"):
        list(dataset.batches(2))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(value, tmp_path):
    array = FLOATS.copy()
    array[3, 0, 0, :2] = value
    dataset = opened(tmp_path / "a.npz", x=array)
    with pytest.raises(InputError, match=r"a\.npz:x\[3\] holds 2 NaN or infinite values"):
        list(dataset.batches(2))


def test_overflow_of_float64_is_not_finite(tmp_path):
    with pytest.raises(InputError, match="NaN or infinite"), np.errstate(over="ignore"):
        opened(tmp_path / "a.npz", x=np.full((1, 3, 32, 32), 1e300))


def npy_bytes(array, shape=None):
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape or array.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + array.tobytes()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_header_is_not_believed(suffix, tmp_path):
    """It claims 6 TB; nothing of the sort is allocated."""
    lie = npy_bytes(FLOATS, (500_000_000, 3, 32, 32))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(lie)
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", lie)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"claims float32 \(500000000, 3, 32, 32\)"):
        open_dataset(path, [SPEC], FACTS)
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()


def test_a_gigantic_sample_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("simam_deploy.source.samples.arrays.LARGEST_SAMPLE", FLOATS[0].nbytes - 1)
    with pytest.raises(InputError, match="more than a gigabyte each"):
        opened(tmp_path / "a.npz", x=FLOATS)


def test_a_batch_is_all_that_is_held(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((2000, 3, 32, 32), np.float32))
    dataset = open_dataset(tmp_path / "a.npz", [SPEC], FACTS)
    tracemalloc.start()
    assert sum(len(b.array) for b in dataset.batches(10)) == 2000
    assert tracemalloc.get_traced_memory()[1] < 2**20  # of 24 MB
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("keep", [0, 5, 40, -1, -1000])
def test_damaged_files(keep, suffix, tmp_path):
    whole = tmp_path / f"whole{suffix}"
    np.save(whole, FLOATS) if suffix == ".npy" else np.savez(whole, x=FLOATS)
    (tmp_path / f"cut{suffix}").write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(InputError, match=rf"cut{suffix} (cannot be read|claims)"):
        open_dataset(tmp_path / f"cut{suffix}", [SPEC], FACTS)


def test_a_flipped_bit_in_an_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=FLOATS)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    dataset = open_dataset(path, [SPEC], FACTS)
    with pytest.raises(InputError, match="cannot be read: Bad CRC-32"):
        list(dataset.batches(2))
