import json
import os
import tracemalloc

import pytest

from simam_deploy.core.document import LARGEST, parse_json
from simam_deploy.core.facts import FACTS
from simam_deploy.core.manifest import (
    find_manifest,
    manifest_path,
    need_manifest,
    read_artifact,
    read_facts,
    write_manifest,
)
from simam_deploy.errors import EngineError, InputError
from tests.core.wrong import WRONG, wrong_for

KINDS = {"m.onnx": InputError, "m.engine": EngineError}


@pytest.fixture(params=KINDS)
def artifact(request, tmp_path):
    path = tmp_path / request.param
    path.write_bytes(b"content")
    write_manifest(path, [path], {"arch": "a"})
    return path


def edit(artifact, **changes):
    path = manifest_path(artifact)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_was_written_is_read(artifact):
    assert find_manifest(artifact)["arch"] == "a"
    assert read_facts(artifact)["files"][0]["size"] == 7
    assert read_artifact(artifact).files == (artifact,)


def test_a_manifest_written_anew_lists_its_files_anew(artifact):
    artifact.write_bytes(b"other content")
    again = write_manifest(artifact, [artifact], find_manifest(artifact))
    assert read_facts(artifact) == again
    assert (again["arch"], again["files"][0]["size"]) == ("a", 13)


@pytest.mark.parametrize("content", [None, "[]", "{}", '"text"', '{"lr": 0.1}'])
def test_none_and_somebody_elses(content, artifact):
    manifest_path(artifact).unlink()
    if content is not None:
        manifest_path(artifact).write_text(content)
    assert find_manifest(artifact) is None
    assert read_facts(artifact) == {}
    with pytest.raises(KINDS[artifact.name], match="no manifest"):
        need_manifest(artifact)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no JSON"),
        (b"{", "holds no JSON"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 40 + b"]" * 40, "nested too deeply"),
        (b'{"schema": 1, "e_lambda": NaN}', "holds NaN"),
        (b'{"schema": 1, "e_lambda": -Infinity}', "holds -Infinity"),
        (b'{"schema": 1, "e_lambda": 1e999}', "1e999, which is too large"),
        (b'{"schema": 1, "opset": 9223372036854775808}', "beyond 64 bits"),
        (b'{"schema": 1, "arch": "\\ud800"}', "half a surrogate"),
        (b'{"schema": 1, "\\udfff": 1}', "half a surrogate"),
        (b'{"schema": 2}', "schema 2, not 1"),
        (b'{"schema": 1}', "it has no 'kind'"),
    ],
)
def test_a_damaged_manifest(content, says, artifact):
    manifest_path(artifact).write_bytes(content)
    for read in (find_manifest, read_facts, read_artifact):
        with pytest.raises(KINDS[artifact.name], match=says) as caught:
            read(artifact)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_no_regular_file(make, artifact):
    manifest_path(artifact).unlink()
    make(manifest_path(artifact))
    with pytest.raises(KINDS[artifact.name], match="no regular file"):
        read_facts(artifact)


def test_a_huge_manifest_is_refused_unread(artifact):
    with manifest_path(artifact).open("r+b") as file:
        file.truncate(315_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(KINDS[artifact.name], match="315 MB"):
            read_facts(artifact)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_a_text_is_bounded_too():
    with pytest.raises(ValueError, match="over 16 MiB"):
        parse_json(" " * (LARGEST + 1))


@pytest.mark.parametrize("key", FACTS)
def test_a_fact_of_a_wrong_type(key, artifact):
    wrong = list(wrong_for(key))
    assert len(wrong) > len(WRONG) / 2
    for value in wrong:
        edit(artifact, **{key: value})
        with pytest.raises(KINDS[artifact.name], match="no manifest of m.* known here"):
            find_manifest(artifact)


def test_what_is_not_known_is_let_be(artifact):
    edit(artifact, future={"a": [1]})
    assert read_facts(artifact)["future"] == {"a": [1]}


@pytest.mark.parametrize(
    ("content", "says"), [(b"cont", "is truncated: 4 bytes, 7"), (b"Content", "sha256 differs")]
)
def test_another_file(content, says, artifact):
    artifact.write_bytes(content)
    for read in (read_facts, read_artifact):
        with pytest.raises(KINDS[artifact.name], match=says):
            read(artifact)


def test_external_data_are_held_against_their_hash(tmp_path):
    path, data = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    path.write_bytes(b"content")
    data.write_bytes(b"weights")
    write_manifest(path, [path], {})
    with pytest.raises(InputError, match=r"does not list m\.onnx\.data"):
        read_facts(path)
    write_manifest(path, [path, data], {})
    assert read_artifact(path).files == (path, data)
    data.write_bytes(b"Weights")
    with pytest.raises(InputError, match=r"m\.onnx\.data is not the file.*sha256 differs"):
        read_facts(path)
    data.unlink()
    with pytest.raises(InputError, match=r"'m\.onnx\.data', which is no file beside it"):
        read_facts(path)


@pytest.mark.parametrize("name", ["", ".", "..", "../m.json", "/etc/passwd", "a/b", "none", "\0"])
def test_a_listed_name_that_is_no_file_beside_it(name, artifact):
    files = json.loads(manifest_path(artifact).read_text())["files"]
    edit(artifact, files=[*files, {"name": name, "size": 1, "sha256": ""}])
    with pytest.raises(KINDS[artifact.name], match="no file beside it"):
        read_facts(artifact)
