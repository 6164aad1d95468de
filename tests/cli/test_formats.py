"""`simam export --format`: each format from the trained digits network, as a user would ask."""

import json

import onnx
import pytest
import yaml

from simam_deploy.cli.export import main


def test_triton_from_a_checkpoint_and_from_an_artifact(digits, tmp_path, capsys):
    options = ["--format", "triton", "-o", str(tmp_path / "models"), "-q"]
    assert main([str(digits), "--name", "fresh", *options]) == 0
    assert main([str(digits), "-o", str(tmp_path / "again.onnx"), "-q"]) == 0
    capsys.readouterr()
    assert main([str(tmp_path / "again.onnx"), *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "again"
    for name in ("fresh", "again"):
        model = tmp_path / "models" / name
        assert (model / "config.pbtxt").is_file()
        onnx.checker.check_model(onnx.load(model / "1" / "model.onnx"))


def test_class_names_go_with_the_file(digits, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("".join(f"digit {n}\n" for n in range(10)))
    options = ["--labels", str(names), "--name", "m", "-q"]
    assert main([str(digits), *options, "-o", str(tmp_path / "m.onnx")]) == 0
    again = ["--format", "triton", "-o", str(tmp_path), "-q"]
    assert main([str(tmp_path / "m.onnx"), *again]) == 0
    assert (tmp_path / "m" / "labels.txt").read_text() == names.read_text()
    assert main([str(tmp_path / "m.onnx"), "-o", str(tmp_path / "re.onnx"), "-q"]) == 0
    assert json.loads((tmp_path / "re.json").read_text())["classes"][3] == "digit 3"


@pytest.mark.parametrize(
    ("content", "says"), [(b"a\n\nb\n", "line 2"), (b"\xff\xfe", "UTF-8"), (None, "No such file")]
)
def test_class_names_that_are_none(content, says, digits, tmp_path, capsys):
    if content is not None:
        (tmp_path / "names.txt").write_bytes(content)
    options = ["--labels", str(tmp_path / "names.txt"), "-o", str(tmp_path / "m.onnx"), "-q"]
    assert main([str(digits), *options]) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()


def test_a_model_in_the_repository_is_not_overwritten(digits, tmp_path, capsys):
    options = ["--format", "triton", "--name", "m", "-o", str(tmp_path), "-q"]
    assert main([str(digits), *options]) == 0
    before = (tmp_path / "m" / "config.pbtxt").stat().st_mtime_ns
    assert main([str(digits), *options]) == 2
    assert "m" in capsys.readouterr().err
    assert (tmp_path / "m" / "config.pbtxt").stat().st_mtime_ns == before


def test_kserve_names_where_the_repository_lies(digits, tmp_path, capsys):
    artifact = tmp_path / "m.onnx"
    assert main([str(digits), "-o", str(artifact), "-q"]) == 0
    assert main([str(artifact), "--format", "kserve", "-q"]) == 2
    assert "--storage-uri" in capsys.readouterr().err
    assert main([str(artifact), "--format", "kserve", "--storage-uri", "s3://b/m", "-q"]) == 0
    document = yaml.safe_load((tmp_path / "m.yaml").read_text())
    assert document["spec"]["predictor"]["model"]["storageUri"] == "s3://b/m"


def test_plugin_marks_every_site(digits, tmp_path):
    assert main([str(digits), "--format", "plugin", "-o", str(tmp_path / "p.onnx"), "-q"]) == 0
    nodes = [n for n in onnx.load(tmp_path / "p.onnx").graph.node if n.domain == "simam"]
    marks = [{a.name for a in n.attribute} >= {"plugin_namespace", "plugin_version"} for n in nodes]
    assert marks == [True] * 9


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--format", "engine", "--lowering", "flat"], "--lowering"),
        (["--format", "engine", "--no-simplify"], "--no-simplify"),
        (["--format", "plugin", "--lowering", "flat"], "--lowering"),
    ],
)
def test_what_a_format_decides_is_refused(options, says, digits, tmp_path, capsys):
    assert main([str(digits), *options, "-o", str(tmp_path), "-q"]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
