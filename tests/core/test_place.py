import json
import os

import pytest

from simam_deploy.core.files import PLANS
from simam_deploy.core.place import check_place, place_of
from simam_deploy.errors import InputError, UsageError

ONNX = json.dumps({"schema": 1, "kind": "onnx", "files": [{"name": "m.onnx.data", "sha256": "0"}]})
ENGINE = json.dumps({"schema": 1, "kind": "engine", "files": []})
FAILED = json.dumps({"passed": False, "rule": "r", "results": []})
HUGE = "[" + " " * (1 << 24) + "]"


@pytest.mark.parametrize(
    ("output", "gives"),
    [
        (None, "in/best.onnx"),
        ("there", "there/best.onnx"),
        ("new/", "new/best.onnx"),
        ("new/deep/", "new/deep/best.onnx"),
        ("new/m.onnx", "new/m.onnx"),
    ],
)
def test_where_it_goes(output, gives, tmp_path):
    (tmp_path / "there").mkdir()
    given = output and f"{tmp_path}/{output}"
    assert place_of(tmp_path / "in" / "best.pth.tar", given, (".onnx",)) == tmp_path / gives


@pytest.mark.parametrize(
    ("output", "suffixes", "says"),
    [
        ("new", (".onnx",), r"must be named \.onnx, or be a folder \(a new one ends in /\)"),
        ("m.txt", PLANS, r"must be named \.engine, \.plan or \.trt"),
        ("m.onnx", (".onnx",), r"m\.onnx would be overwritten: name another file"),
    ],
)
def test_where_it_cannot_go(output, suffixes, says, tmp_path):
    with pytest.raises(UsageError, match=says) as caught:
        place_of(tmp_path / "m.onnx", tmp_path / output, suffixes)
    assert caught.value.options == ("output",)


def test_a_file_that_the_user_did_not_name_is_not_overwritten(tmp_path):
    (tmp_path / "m.onnx").write_text("theirs")
    for output in (None, tmp_path, f"{tmp_path}/"):
        with pytest.raises(InputError, match=r"m\.onnx would be overwritten.*move it away"):
            place_of(tmp_path / "m.pth", output, (".onnx",))
    assert place_of(tmp_path / "m.pth", tmp_path / "m.onnx", (".onnx",)) == tmp_path / "m.onnx"
    (tmp_path / "m.json").write_text(ONNX)
    assert place_of(tmp_path / "m.pth", None, (".onnx",)) == tmp_path / "m.onnx"


@pytest.mark.parametrize(
    ("target", "theirs", "content"),
    [
        ("m.onnx", "m.json", '{"lr": 0.1}'),
        ("m.onnx", "m.json", "no JSON"),
        ("m.onnx", "m.json", HUGE),
        ("m.onnx", "m.json", ENGINE),
        ("m.onnx", "m.json", '{"schema": "s", "kind": "onnx", "files": []}'),
        ("m.onnx", "m.json", '{"schema": 1, "kind": "onnx"}'),
        ("m.onnx", "m.onnx.data", "weights"),
        ("m.onnx", "m.failed.json", "{}"),
        ("m.failed.json", "m.failed.json", "{}"),
        ("m.engine", "m.engine.json", "{}"),
        ("m.engine", "m.engine.json", ONNX),
        ("m.engine", "m.engine.log", "log"),
        ("m.plan", "m.plan.log", "log"),
        ("s.yaml", "s.yaml", "apiVersion: v1"),
        ("s.yml", "s.yml", "apiVersion: v1"),
    ],
)
def test_what_is_somebody_elses_is_refused(target, theirs, content, tmp_path):
    (tmp_path / theirs).write_text(content)
    with pytest.raises(InputError, match=rf"{theirs} would be overwritten.*choose another name"):
        check_place(tmp_path / target)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda p: p.symlink_to("nowhere")])
def test_what_is_no_file_is_somebody_elses(make, tmp_path):
    make(tmp_path / "m.json")
    with pytest.raises(InputError, match=r"m\.json would be overwritten"):
        check_place(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("target", "ours"),
    [
        ("m.onnx", {"m.json": ONNX, "m.onnx.data": "weights", "m.failed.json": FAILED}),
        ("m.onnx", {"m.onnx": "theirs, and named"}),
        ("m.failed.json", {"m.failed.json": FAILED}),
        ("m.engine", {"m.engine.json": ENGINE, "m.engine.log": "log"}),
        ("s.yaml", {"s.yaml": "# KServe runs the model repository at storageUri: and so on"}),
        ("m.onnx", {"m.engine.json": ENGINE, "m.engine.log": "log", "m.labels.txt": "a"}),
    ],
)
def test_what_is_ours_is_replaced(target, ours, tmp_path):
    for name, content in ours.items():
        (tmp_path / name).write_text(content)
    check_place(tmp_path / target)


def test_a_manifest_that_does_not_list_the_data(tmp_path):
    (tmp_path / "m.json").write_text(ONNX.replace("m.onnx.data", "m.onnx"))
    (tmp_path / "m.onnx.data").write_text("weights of somebody's own m.onnx")
    with pytest.raises(InputError, match=r"m\.onnx\.data would be overwritten"):
        check_place(tmp_path / "m.onnx")


def test_a_name_that_is_too_long(tmp_path):
    check_place(tmp_path / f"{'m' * 300}.onnx")  # whoever writes it will be told
