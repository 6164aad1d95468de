"""Where the commands leave what they make: beside nothing of somebody else's, and whole."""

import json
import threading
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy import ValidationError, export_onnx
from simam_deploy.cli.build import main as build
from simam_deploy.cli.export import main as export
from simam_deploy.cli.validate import main as validate
from simam_deploy.core.manifest import read_facts
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.pipeline import export as export_pipeline
from tests.engine.conftest import cache
from tests.graph.onnx_text import simam_model

__all__ = ["cache"]

THEIRS = '{"learning_rate": 0.1}'


@pytest.fixture
def source(tmp_path):
    return small(tmp_path / "in", 0.1)


def small(folder, e_lambda):
    model = simam_model("n,3,8,8", e_lambda=e_lambda)
    lower_portable(model)
    folder.mkdir(parents=True, exist_ok=True)
    write_model(model, folder / "m.onnx")
    return folder / "m.onnx"


def no_work(monkeypatch):
    """Fail the test where a source is so much as read."""

    def refuse(*args, **kwargs):
        pytest.fail("work was begun")

    monkeypatch.setattr(export_pipeline, "load_subject", refuse)
    monkeypatch.setattr("simam_deploy.pipeline.build._build", refuse)
    monkeypatch.setattr("simam_deploy.pipeline.validate.open_candidate", refuse)


@pytest.mark.parametrize(
    ("command", "theirs"),
    [
        ((export, "{source}", "-o", "{out}/m.onnx"), "m.json"),
        ((export, "{source}", "-o", "{out}/m.onnx"), "m.onnx.data"),
        ((export, "{source}", "-o", "{out}/m.onnx"), "m.failed.json"),
        ((export, "{source}", "-o", "{out}"), "m.onnx"),
        ((build, "{source}", "-o", "{out}/m.engine", "--backend", "rtx"), "m.engine.json"),
        ((build, "{source}", "-o", "{out}/m.engine", "--backend", "rtx"), "m.engine.log"),
        ((build, "{source}", "-o", "{out}", "--backend", "rtx"), "m.engine"),
        ((validate, "{source}", "{source}", "--bisect", "-o", "{out}/m.onnx"), "m.json"),
    ],
    ids=lambda v: v if isinstance(v, str) else v[0].__module__,
)
def test_what_is_not_ours_is_refused_before_any_work(
    command, theirs, source, tmp_path, monkeypatch, capsys
):
    if command[0] is build:
        pytest.importorskip("tensorrt_rtx", reason="needs the extra rtx")
    out = tmp_path / "out"
    out.mkdir()
    (out / theirs).write_text(THEIRS)
    no_work(monkeypatch)
    main, *words = command
    assert main([*(word.format(source=source, out=out) for word in words), "-q"]) == 1
    said = capsys.readouterr().err
    assert f"{theirs} would be overwritten" in said
    assert said.count("\n") == 1
    assert [(p.name, p.read_text()) for p in out.iterdir()] == [(theirs, THEIRS)]


def test_a_yaml_that_is_not_ours_is_refused(source, tmp_path, capsys):
    artifact = export_onnx(source, tmp_path / "m.onnx").path
    (tmp_path / "m.yaml").write_text("network: resnet50\n")
    options = ["--format", "kserve", "--storage-uri", "s3://b/m", "-q"]
    assert export([str(artifact), *options]) == 1
    assert "m.yaml would be overwritten" in capsys.readouterr().err
    assert (tmp_path / "m.yaml").read_text() == "network: resnet50\n"
    (tmp_path / "m.yaml").unlink()
    for _ in range(2):  # the second replaces the first's
        assert export([str(artifact), *options]) == 0


def test_an_earlier_run_of_ours_is_replaced(source, tmp_path):
    export_onnx(source, tmp_path / "m.onnx")
    export_onnx(small(tmp_path / "other", 0.5), tmp_path / "m.onnx")
    assert read_facts(tmp_path / "m.onnx")["e_lambda"] == 0.5


def test_a_folder_that_is_not_there_yet(source, tmp_path, monkeypatch, capsys):
    assert export([str(source), "-o", f"{tmp_path}/new/deep/", "-q"]) == 0
    made = tmp_path / "new" / "deep"
    assert {p.name for p in made.iterdir()} == {"m.onnx", "m.json"}
    options = ["--format", "triton", "-o", f"{tmp_path}/models/", "-q"]
    assert export([str(made / "m.onnx"), *options]) == 0
    assert (tmp_path / "models" / "m" / "config.pbtxt").is_file()
    monkeypatch.chdir(tmp_path)
    assert export([str(source), "-o", "here/", "-q"]) == 0
    assert (tmp_path / "here" / "m.onnx").is_file()


def test_a_plan_into_a_folder_that_is_not_there_yet(source, tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="needs the extra rtx")
    assert build([str(source), "-o", f"{tmp_path}/new/", "--backend", "rtx", "-q"]) == 0
    names = {"m.engine", "m.engine.json", "m.engine.log"}
    assert {p.name for p in (tmp_path / "new").iterdir()} == names


@pytest.mark.parametrize("format", ["onnx", "triton"])
def test_nothing_is_left_of_a_folder_that_was_made_in_vain(format, tmp_path):
    (tmp_path / "m.pth").write_bytes(b"no checkpoint")
    options = ["--format", format, "-o", f"{tmp_path}/new/deep/", "-q"]
    assert export([str(tmp_path / "m.pth"), *options]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["m.pth"]


def test_a_taken_place_in_a_repository_is_told_before_the_export(
    source, tmp_path, monkeypatch, capsys
):
    (tmp_path / "models" / "m").mkdir(parents=True)
    no_work(monkeypatch)
    options = ["--format", "triton", "-o", str(tmp_path / "models"), "-q"]
    assert export([str(source), *options]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_repository_by_default_lies_beside_the_source(source):
    assert export([str(source), "--format", "triton", "-q"]) == 0
    assert (source.parent / "models" / "m" / "config.pbtxt").is_file()


def test_a_small_export_over_a_large_one_leaves_no_data_behind(source, tmp_path, monkeypatch):
    def write_large(model, path):
        write_model(model, path, single_file_limit=0)

    with monkeypatch.context() as patch:
        patch.setattr(export_pipeline, "write_model", write_large)
        weighty = simam_model("n,3,8,8")
        lower_portable(weighty)
        weights = np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1)
        node = next(n for n in weighty.graph if n.op_type == "Identity")
        value = ir.Value(name="bias", const_value=ir.tensor(weights, name="bias"))
        weighty.graph.initializers["bias"] = value
        add = ir.node("Add", [node.inputs[0], value])
        weighty.graph.insert_before(node, add)
        node.replace_input_with(0, add.outputs[0])
        write_model(weighty, tmp_path / "weighty.onnx")
        export_onnx(tmp_path / "weighty.onnx", tmp_path / "out" / "m.onnx")
    names = {"m.onnx", "m.json", "m.onnx.data"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    read_facts(tmp_path / "out" / "m.onnx")
    export_onnx(source, tmp_path / "out" / "m.onnx")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"m.onnx", "m.json"}
    read_facts(tmp_path / "out" / "m.onnx")


def test_the_report_of_a_failure_goes_with_the_next_success(source, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("simam_deploy.core.validation.ValidationReport.passed", False)
        with pytest.raises(ValidationError, match=r"m\.failed\.json"):
            export_onnx(source, tmp_path / "m.onnx")
    assert {p.name for p in tmp_path.iterdir()} == {"in", "m.failed.json"}
    export_onnx(source, tmp_path / "m.onnx")
    assert {p.name for p in tmp_path.iterdir()} == {"in", "m.onnx", "m.json"}


def test_two_exports_at_once(tmp_path, monkeypatch):
    """The first, once its first file is in place, waits for the second to be done."""
    sources = {"first": small(tmp_path / "a", 0.1), "second": small(tmp_path / "b", 0.5)}
    moved, second_done = threading.Event(), threading.Event()
    replace = Path.replace
    out = tmp_path / "out" / "m.onnx"
    out.parent.mkdir()

    def slow_replace(path, to):
        done = replace(path, to)
        if threading.current_thread().name == "first" and Path(to).parent == out.parent:
            moved.set()
            second_done.wait(1)  # with the lock, the second cannot end before the first does
        return done

    def run(name):
        if name == "second":
            assert moved.wait(60)
        export_onnx(sources[name], out)
        if name == "second":
            second_done.set()

    monkeypatch.setattr(Path, "replace", slow_replace)
    threads = [threading.Thread(target=run, args=(n,), name=n) for n in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert read_facts(out)["e_lambda"] == 0.5


def test_a_cut_cache_entry_is_built_anew(source, tmp_path, cache):
    pytest.importorskip("tensorrt_rtx", reason="needs the extra rtx")
    command = [str(source), "-o", str(tmp_path / "m.engine"), "--backend", "rtx", "-q"]
    assert build(command) == 0
    (kept,) = cache.glob("*/plan.engine.json")
    whole = json.loads(kept.read_text())
    for change in ({"audit": 5}, {"audit": {}}, {"build": {}}, {"notes": 5}, {"files": []}):
        kept.write_text(json.dumps({**whole, **change}))
        assert build(command) == 0
    kept.with_name("plan.engine.log").unlink()
    assert build(command) == 0
