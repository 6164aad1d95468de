"""Pictures from the command line to the server: one recipe, kept and used by every command."""

import contextlib
import io
import json

import numpy as np
import pytest
import yaml
from google.protobuf import text_format
from PIL import Image
from tritonclient.grpc import model_config_pb2

from simam_deploy.cli import export, inspect, validate
from simam_deploy.pipeline.serve import find_sources
from simam_deploy.source.recipes import recipe_text
from tests.conftest import EXAMPLES
from tests.serve.running import serving

WORDS = ("Zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "the nine")
ON_ITS_SIDE = 3
TURNED = "1 of 8 pictures were turned upright, as their EXIF orientation says"
RECIPE = "resize=32,mean=0.49,0.48,0.45,std=0.2,order=BGR"


def pixels(number):
    """Sample digit `number`, drawn as the network was trained: 8 x 8, every pixel 4 x 4."""
    images = np.load(EXAMPLES / "digits_samples.npz")["images"]
    grey = np.kron(images[number] / 16 * 255, np.ones((4, 4))).round().astype(np.uint8)
    return np.stack([grey] * 3, -1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Digits in folders of words, which sort otherwise than they count; names in Windows' way."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, label in enumerate(np.load(EXAMPLES / "digits_samples.npz")["labels"]):
        place = folder / "data" / WORDS[label].lower().replace(" ", "_")
        place.mkdir(parents=True, exist_ok=True)
        seen, exif = Image.fromarray(pixels(number)), Image.Exif()
        if number == ON_ITS_SIDE:
            seen, exif[0x0112] = seen.transpose(Image.Transpose.ROTATE_90), 6
        seen.save(place / f"{number}.png", exif=exif)
        (place / f"._{number}.png").write_bytes(b"\0\5\x16\7")
    names = "\ufeff" + "\r\n".join(WORDS) + "\t\r\n\r\n"
    (folder / "names.txt").write_bytes(names.encode())
    return folder


def said(command, *argv):
    """Run a command; its exit code must be 0, its JSON comes back."""
    out, quiet = io.StringIO(), [] if command is inspect else ["-q"]
    with contextlib.redirect_stdout(out):
        assert command.main([*map(str, argv), "--json", *quiet]) == 0
    return json.loads(out.getvalue())


def facts(path):
    return json.loads(path.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def exported(digits, folder):
    path = folder / "digits.onnx"
    options = ["--labels", folder / "names.txt", "--preprocess", RECIPE, "-o", path]
    document = said(export, digits, *options, "--data", folder / "data")
    assert TURNED in document["notes"]
    assert any(n.startswith("pictures are prepared as asked: resize=32") for n in document["notes"])
    return path


def test_the_manifest_keeps_the_recipe_and_the_names(exported):
    assert facts(exported)["classes"] == list(WORDS)
    assert recipe_text(facts(exported)["preprocessing"]) == (
        "resize=32,mean=0.49,0.48,0.45,std=0.2,0.2,0.2,scale=1/255,order=BGR"
    )


def test_folders_named_in_words_are_all_right(exported, digits, folder):
    """By place they were all wrong: top-1 0 %, passed."""
    report = said(validate, digits, exported, "--data", folder / "data")
    accuracy = report["accuracy"]
    assert accuracy["samples"] == 8
    assert accuracy["reference"]["top1"] == accuracy["candidate"]["top1"] == 1.0
    assert "hidden files were left out: 8" in report["notes"]
    assert TURNED in report["notes"]
    assert any("the candidate states: resize=32,mean=0.49" in note for note in report["notes"])


def test_folders_of_other_names_are_refused(exported, digits, folder, tmp_path, capsys):
    for name in ("cat", "four"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels(0)).save(tmp_path / name / "0.png")
    assert validate.main([str(digits), str(exported), "--data", str(tmp_path), "-q"]) == 1
    assert "1 of 2 class folders are named as no class of the network (cat;" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("count", "named"), [(1, "1 class is"), (7, "7 classes are"), (11, "11 classes are")]
)
def test_names_that_are_not_as_many_as_the_scores_are_refused(
    count, named, digits, tmp_path, capsys
):
    (tmp_path / "names.txt").write_text("".join(f"name {i}\n" for i in range(count)))
    options = ["--labels", tmp_path / "names.txt", "-o", tmp_path / "x.onnx", "-q"]
    assert export.main([str(digits), *map(str, options)]) == 1
    assert f"{named} named, and there are scores of 10" in capsys.readouterr().err
    assert not list(tmp_path.glob("x.*"))


def test_calibration_sees_what_the_recipe_makes(exported, folder, tmp_path):
    """The ranges of pictures in a folder are those of the arrays that the recipe makes of them."""
    mean, std = np.array([0.49, 0.48, 0.45]), 0.2
    files = sorted((folder / "data").glob("*/[0-9].png"))
    shades = [pixels(int(file.stem))[..., ::-1] / 255 for file in files]
    arrays = [((shade - mean) / std).transpose(2, 0, 1) for shade in shades]
    np.save(tmp_path / "arrays.npy", np.array(arrays, np.float32))
    calibrated = []
    for number, data in enumerate((folder / "data", tmp_path / "arrays.npy")):
        path = tmp_path / f"{number}.onnx"
        said(export, exported, "--precision", "int8", "--calibration-data", data, "-o", path)
        calibrated.append(facts(path))
    assert TURNED in calibrated[0]["notes"]
    first, second = (made["calibration"]["ranges"] for made in calibrated)
    assert first == pytest.approx(second, rel=1e-5)
    for made in calibrated:
        assert made["preprocessing"] == facts(exported)["preprocessing"]
        assert made["classes"] == list(WORDS)


def test_inspect_measures_what_a_recipe_makes(exported, folder):
    """Twice the deviation in the input is another spread at the first site."""
    spreads = []
    for std in (0.2, 0.4):
        options = ["--precision", "fp16", "--data", folder / "data", "--preprocess"]
        report = said(inspect, exported, *options, f"resize=32,mean=0.5,std={std}")
        spreads.append(report["ranges"][0]["measured"]["std"])
    assert spreads[0] > 1.5 * spreads[1]


def test_triton_and_kserve_state_the_recipe(exported, tmp_path):
    recipe = recipe_text(facts(exported)["preprocessing"])
    said(export, exported, "--format", "triton", "-o", tmp_path)
    config = text_format.Parse(
        (tmp_path / "digits" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    assert config.parameters["preprocess"].string_value == recipe
    assert recipe in (tmp_path / "digits" / "README.md").read_text()
    options = ["--format", "kserve", "--storage-uri", "s3://b/m", "-o", tmp_path / "m.yaml"]
    said(export, exported, *options)
    metadata = yaml.safe_load((tmp_path / "m.yaml").read_text())["metadata"]
    assert metadata == {"name": "digits", "annotations": {"simam-deploy/preprocess": recipe}}


def test_a_picture_on_its_side_is_classified_as_the_upright_one(exported):
    exif = Image.Exif()
    exif[0x0112] = 6
    upright, stored = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels(0)).save(upright, "PNG")
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels(0)))).save(stored, "PNG", exif=exif)
    with serving(find_sources([str(exported)])) as running:
        answers = [
            running.request("POST", "/v2/models/digits/classify?top=10", body.getvalue())[1]
            for body in (upright, stored)
        ]
    assert answers[0]["classes"] == answers[1]["classes"]
    assert answers[0]["classes"][0]["label"] == "three"
    assert "turned_upright" not in answers[0]
    assert answers[1]["turned_upright"] is True


@pytest.mark.parametrize(
    ("recipe", "code", "says"),
    [
        ("yolo,resize=640", 2, "makes pictures of 640 x 640, height x width, which input float32"),
        ("imagnet", 2, "no recipe 'imagnet'"),
        ("mean=123,117,104", 2, "123 is beyond pixels of 0 to 1"),
    ],
)
def test_a_recipe_that_does_not_fit_is_one_line(recipe, code, says, digits, tmp_path, capsys):
    options = ["--preprocess", recipe, "-o", str(tmp_path / "x.onnx"), "-q"]
    try:
        got = export.main([str(digits), *options])
    except SystemExit as end:  # argparse's own way out
        got = end.code
    assert got == code
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
