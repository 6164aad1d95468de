"""60 odd label files and 60 odd folders: a result, or one clear line; never a traceback."""

import contextlib

import pytest

from simam_deploy.cli import export, validate
from simam_deploy.core.labels import read_labels
from simam_deploy.errors import InputError
from tests.cli.odd.pictures import label_file, picture_folder
from tests.marks import slow_but

COUNT = 60


def told(code, capsys):
    """Hold what was said against the exit code."""
    said = capsys.readouterr().err
    assert code in (0, 1, 2, 3)
    assert "Traceback" not in said
    if code in (1, 2):
        assert len(said.splitlines()) == 1
        assert said.startswith("simam: error: ")
        assert said.strip().isprintable()
    return code


@pytest.mark.parametrize("number", range(COUNT))
def test_labels(number, tmp_path):
    path = label_file(number, tmp_path)
    try:
        names = read_labels(path)
    except InputError as error:
        assert path.name in str(error)
    else:
        assert all(name.strip() and name.isprintable() for name in names)


def test_some_labels_are_read_and_some_are_not(tmp_path):
    read = 0
    for number in range(COUNT):
        with contextlib.suppress(InputError):
            read += bool(read_labels(label_file(number, tmp_path)))
    assert COUNT // 6 < read < COUNT * 5 // 6


@pytest.mark.parametrize("number", slow_but([1], range(COUNT)))
def test_labels_of_an_export(number, digits_onnx, tmp_path, capsys):
    path, target = label_file(number, tmp_path), tmp_path / "out.onnx"
    argv = [str(digits_onnx), "--labels", str(path), "-o", str(target), "-q"]
    code = told(export.main(argv), capsys)
    assert target.exists() == (code == 0)


@pytest.mark.parametrize("number", slow_but(range(0, COUNT, 6), range(COUNT)))
def test_folders(number, digits_onnx, tmp_path, capsys):
    folder = picture_folder(number, tmp_path)
    before = sorted(folder.rglob("*"))
    told(validate.main([str(digits_onnx)] * 2 + ["--data", str(folder), "-q"]), capsys)
    assert sorted(folder.rglob("*")) == before
