from pathlib import Path

import pytest

from simam_deploy.core.staging import explained, publish, publish_folder, staging_folder
from simam_deploy.errors import InputError


def test_files_appear_together_and_the_folder_goes(tmp_path):
    target = tmp_path / "new" / "m.onnx"
    with staging_folder(target) as stage:
        for name in ("m.onnx", "m.json", "m.onnx.data"):
            (stage / name).write_text(name)
        assert not target.exists()
        assert publish(stage, target)[-1] == target
    assert {p.name for p in target.parent.iterdir()} == {"m.onnx", "m.json", "m.onnx.data"}


def test_a_folder_appears_whole(tmp_path):
    target = tmp_path / "new" / "m"
    with staging_folder(target) as stage:
        (stage / "m" / "1").mkdir(parents=True)
        (stage / "m" / "1" / "f").write_text("f")
        assert publish_folder(stage / "m", target) == target
    assert (target / "1" / "f").read_text() == "f"
    assert [p.name for p in target.parent.iterdir()] == ["m"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_after_a_failure(tmp_path, error):
    target = tmp_path / "a" / "b" / "m.onnx"
    with pytest.raises(error), staging_folder(target) as stage:
        (stage / "m.onnx").write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_survives_a_failure(tmp_path):
    target = tmp_path / "m.onnx"
    target.write_text("before")
    with pytest.raises(ValueError), staging_folder(target) as stage:
        (stage / "m.onnx").write_text("half")
        raise ValueError
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"]


def test_a_folder_under_the_files_name_is_one_clear_line(tmp_path):
    target = tmp_path / "m.onnx"
    target.mkdir()
    with pytest.raises(InputError, match="it is a directory"), staging_folder(target):
        pass


def test_a_parent_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "m.onnx"
    with pytest.raises(InputError, match=r"cannot write .*m\.onnx"), staging_folder(target):
        pass


def test_the_systems_words_are_passed_on():
    words = "cannot write m.onnx: No space left on device"
    with pytest.raises(InputError, match=words), explained(Path("m.onnx")):
        raise OSError(28, "No space left on device")
