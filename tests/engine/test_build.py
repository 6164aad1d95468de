"""Real TensorRT-RTX plans, which build without a GPU."""

import json

import pytest

from simam_deploy.cli.build import main

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def digits_onnx(digits, tmp_path_factory):
    from simam_deploy import export_onnx

    return export_onnx(digits, tmp_path_factory.mktemp("digits") / "digits.onnx").path


def build(capsys, *args):
    code = main([*map(str, args), "-q", "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def test_a_second_identical_build_comes_from_the_cache(digits_onnx, tmp_path, capsys):
    first = build(capsys, digits_onnx, "-o", tmp_path / "a.engine", "--target", "sm89")
    second = build(capsys, digits_onnx, "-o", tmp_path / "b.engine", "--target", "sm89")
    assert (first["cached"], second["cached"]) == (False, True)
    assert (tmp_path / "a.engine").read_bytes() == (tmp_path / "b.engine").read_bytes()
    assert second["seconds"] < first["seconds"]
