"""A manifest or metadata of the wrong type or size is one line, whoever reads it."""

import json
import os
import subprocess
import sys

import onnx
import pytest

from simam_deploy import InputError, SimamError, export_onnx, inspect_onnx
from simam_deploy.core.document import LARGEST
from simam_deploy.core.facts import FACTS
from simam_deploy.core.manifest import manifest_path, read_facts
from simam_deploy.serve.deploy import write_triton
from simam_deploy.serve.models.model import load_model
from simam_deploy.serve.settings import Settings

WRONG = [5, -1, 1.5, True, "text", [1], [[]], {}, {"kind": 5}, [{"name": 1}], [None], "\u202e"]


@pytest.fixture(scope="module")
def exported(digits, tmp_path_factory):
    return export_onnx(digits, tmp_path_factory.mktemp("facts") / "m.onnx").path


@pytest.fixture
def copy(exported, tmp_path):
    """An export whose manifest, and metadata, can be spoiled."""
    for file in exported.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / exported.name


def spoil(path, **facts):
    sidecar = manifest_path(path)
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | facts))


@pytest.mark.parametrize("key", FACTS)
def test_every_fact_of_a_wrong_type_is_told_in_one_line(key, copy, tmp_path):
    for wrong in WRONG:
        if FACTS[key].holds(wrong):
            continue
        spoil(copy, **{key: wrong})
        with pytest.raises(InputError, match=repr(key)) as refused:
            read_facts(copy)
        assert len(str(refused.value).splitlines()) == 1
        with pytest.raises(InputError, match=repr(key)):
            write_triton(copy, tmp_path / "out")


@pytest.mark.parametrize("wrong", [5, [1], "text", {"kind": 5}, {"mean": "a"}, {"resize": -1}])
@pytest.mark.parametrize("key", ["preprocessing", "simam_sites", "classes"])
def test_metadata_of_a_wrong_type_counts_as_not_said(key, wrong, copy):
    model = onnx.load(copy)
    for entry in model.metadata_props:
        if entry.key == f"simam.{key}":
            model.metadata_props.remove(entry)
            break
    model.metadata_props.add(key=f"simam.{key}", value=json.dumps(wrong))
    manifest_path(copy).unlink()
    onnx.save(model, copy)
    json.dumps(inspect_onnx(copy).to_json())
    assert export_onnx(copy, copy.with_name("again.onnx")).validation.passed


@pytest.mark.parametrize("facts", [{"simam_sites": 5}, {"preprocessing": [1]}, {"classes": 7}])
def test_a_server_refuses_it_with_a_reason(facts, copy):
    spoil(copy, **facts)
    with pytest.raises(SimamError, match=repr(next(iter(facts)))):
        load_model("m", copy, "1", Settings())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"schema": 1, "e_lambda": NaN}', "NaN"),
        (b'{"schema": 1, "size": 1e999}', "too large"),
        (b'{"schema": 1, "size": ' + b"9" * 30 + b"}", "64 bits"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"schema": 1', "no JSON"),
    ],
)
def test_a_damaged_manifest_is_told_in_one_line(content, says, copy):
    manifest_path(copy).write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_facts(copy)


def test_a_huge_manifest_is_not_read(copy):
    with manifest_path(copy).open("wb") as file:
        file.truncate(315_000_000)
    code = (
        "import resource, sys, pathlib\n"
        "from simam_deploy.core.manifest import read_facts\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 ** 30, 2 ** 30))\n"
        "try:\n    read_facts(pathlib.Path(sys.argv[1]))\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, copy], capture_output=True, text=True)
    assert done.stdout.startswith("InputError"), done.stderr
    assert f"{LARGEST >> 20} MiB" in done.stdout


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_what_is_no_file_is_no_manifest(make, copy):
    manifest_path(copy).unlink()
    make(manifest_path(copy))
    with pytest.raises(InputError, match=r"m\.json"):
        read_facts(copy)
