"""`simam explain`: a PNG file, or one clear line and an exit code."""

import json

import numpy as np
import pytest
from PIL import Image

from simam_deploy.cli.explain import main

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "p.png"
    noise = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    return path


def test_a_picture_is_drawn_and_told(digits, picture, tmp_path, capsys):
    out = tmp_path / "new" / "out.png"
    words = [str(digits), str(picture), "-o", str(out), "--method", "gradcam", "--class", "3"]
    assert main([*words, "--json"]) == 0
    said = capsys.readouterr()
    assert "computing Grad-CAM ..." in said.err
    document = json.loads(said.out)
    assert np.shape(document["grad_cam"]["cells"]) == (8, 8)
    assert document["grad_cam"]["target"]["scalar"] == "logits[0, 3]"
    assert document["attention"] is None
    with Image.open(out) as drawn:
        assert drawn.format == "PNG"
        assert drawn.width == 2 * 320 + 3 * 16
    assert [path.name for path in out.parent.iterdir()] == ["out.png"]


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--class", "cat"], 2, "no class 'cat': there are 10, 0 to 9; no names are known"),
        pytest.param(["--layer", "no"], 2, "there is no layer 'no': the nearest", marks=SLOW),
        pytest.param(["--box", "1"], 2, "gives no boxes: name a class (--class)", marks=SLOW),
        (["--box", "-1"], 2, "argument --box"),
        (["--method", "lime"], 2, "not gradcam or attention, or both with a comma: 'lime'"),
        (["-o", "out.jpg"], 2, "the output must be named .png, got out.jpg"),
        (["--labels", "none.txt"], 1, "cannot read none.txt: No such file or directory (--labels)"),
    ],
)
def test_bad_options(options, code, says, digits, picture, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [str(digits), str(picture), "-o", "out.png", "-q", *options]
    assert ended(words) == code
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def ended(words):
    try:
        return main(words)
    except SystemExit as error:  # argparse's own
        return error.code


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "p.png: No such file or directory"),
        (b"", "p.png cannot be decoded: "),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "p.png cannot be decoded: "),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "p.png cannot be decoded: "),
    ],
)
def test_what_is_no_picture(content, says, digits, tmp_path, capsys):
    if content is not None:
        (tmp_path / "p.png").write_bytes(content)
    out = tmp_path / "out.png"
    assert main([str(digits), str(tmp_path / "p.png"), "-o", str(out), "-q"]) == 1
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_neither_the_picture_nor_the_model_is_overwritten(digits, picture, capsys):
    before = picture.read_bytes()
    assert main([str(digits), str(picture), "-o", str(picture), "-q"]) == 2
    assert "would be overwritten: name another file" in capsys.readouterr().err
    assert picture.read_bytes() == before


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_is_made_and_the_drawing_named_by_the_picture(
    is_there, digits, picture, tmp_path, capsys
):
    folder = tmp_path / "new" / "out"
    if is_there:
        folder.mkdir(parents=True)
    output = str(folder) if is_there else f"{folder}/"
    assert main([str(digits), str(picture), "-o", output, "-q"]) == 0
    assert [path.name for path in folder.iterdir()] == [f"{picture.stem}.explained.png"]
