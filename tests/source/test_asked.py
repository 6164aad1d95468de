"""`--preprocess` against what the file says, and against what the input takes."""

import json

import onnx
import pytest

from simam_deploy import NetworkOptions
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import UsageError
from simam_deploy.models.zoo import CIFAR, WESPEAKER
from simam_deploy.source import load_subject
from simam_deploy.source.asked import asked_preprocessing, overruled
from simam_deploy.source.recipes import recipe_text
from tests.detect import tiny

SPEC = TensorSpec("x", "float32", ("batch", 3, 64, 96))


@pytest.mark.parametrize(
    ("recipe", "made"),
    [
        ("yolo", [96, 64]),
        ("imagenet", 256),  # the input's size wins over a published one
        ("mmdet", [1333, 800]),
        ("resize=96x64", [96, 64]),
    ],
)
def test_a_recipe_that_fits(recipe, made):
    assert asked_preprocessing(recipe, SPEC, SPEC.shape)["resize"] == made


@pytest.mark.parametrize(
    ("recipe", "shape", "says"),
    [
        ("resize=64", (1, 3, 64, 96), "makes pictures of 64 x 64, height x width, which x"),
        ("resize=64x96", (1, 3, 64, 96), "makes pictures of 96 x 64"),
        ("yolo,resize=640", (1, 3, 64, 96), "makes pictures of 640 x 640"),
        ("imagenet,crop=128", (1, 3, 224, 224), "makes pictures of 128 x 128"),
        ("letterbox=corner,resize=60,divisor=32", (1, 3, 60, 60), "makes pictures of 64 x 64"),
        ("mmdet", (1, 3, 600, 800), "pads to multiples of 32, which x float32 batch x 3 x 600"),
        ("resize=64", (1, 3, 64, "w"), None),
        ("resize=64", (1, 3, "h", "w"), None),
        ("resize=32", (1, 3, 64, "w"), "makes pictures of 32 x 32"),
        ("imagenet", (1, 1, 224, 224), "3 means for an input of 1 channels"),
        ("resize=8", (1, 4, 8, 8), "4 means, and a picture has 1 or 3 channels"),
        ("imagenet", (1, 200, 80), "x float32 batch x 200 x 80 takes no pictures"),
        ("nothing", (1, 3, 8, 8), "no recipe 'nothing'"),
    ],
)
def test_a_recipe_is_held_against_the_input(recipe, shape, says):
    spec = TensorSpec("x", "float32", ("batch", *shape[1:]))
    if says is None:
        assert asked_preprocessing(recipe, spec, shape)
        return
    with pytest.raises(UsageError, match=says) as caught:
        asked_preprocessing(recipe, spec, shape)
    assert caught.value.options == ("preprocess",)


def test_what_the_file_says_is_said_where_it_is_overruled():
    asked = asked_preprocessing("yolo", SPEC, SPEC.shape)
    ours, theirs = recipe_text(asked), recipe_text(CIFAR.preprocessing)
    line = f"pictures are prepared as asked: {ours}"
    for nothing_else in (None, asked, WESPEAKER.preprocessing):
        assert overruled(asked, nothing_else) == ([line], [])
    assert overruled(asked, CIFAR.preprocessing) == ([], [f"{line}; the file says {theirs}"])


def test_a_checkpoints_pictures_are_as_asked(digits):
    subject = load_subject(digits, NetworkOptions(preprocess="resize=32,mean=0.5,std=0.25"))
    facts = subject.facts["preprocessing"]
    assert (facts["mean"], facts["std"], facts["resize"]) == ([0.5] * 3, [0.25] * 3, 32)
    assert subject.notes[-1].startswith("pictures are prepared as asked: resize=32,mean=0.5,")
    assert subject.contradictions == (), "the family's is nobody's word"
    untouched = load_subject(digits, NetworkOptions())
    assert untouched.facts["preprocessing"] == CIFAR.preprocessing
    assert not any("pictures" in note for note in untouched.notes)


def test_an_onnx_files_own_word_is_overruled_too(tmp_path):
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[batch,3,8,8] x) => (float[batch,3,8,8] y) { y = Relu(x) }"""
    model = onnx.parser.parse_model(text)
    stated = {**CIFAR.preprocessing, "resize": 8}
    model.metadata_props.add(key="simam.preprocessing", value=json.dumps(stated))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert load_subject(tmp_path / "m.onnx", NetworkOptions()).facts["preprocessing"] == stated
    subject = load_subject(tmp_path / "m.onnx", NetworkOptions(preprocess="yolo"))
    assert subject.facts["preprocessing"]["resize"] == [8, 8]
    (against,) = subject.contradictions
    assert "as asked: resize=8x8,letterbox=centre,fill=114" in against
    assert "; the file says resize=8,mean=0.4914" in against


def test_a_recipe_leaves_what_the_network_takes_beside_pictures(tmp_path):
    """Which input is a picture's size is no matter of how pictures are prepared."""
    asked = "resize=640x448,letterbox=corner,fill=none,divisor=32,scale=1/255"
    options = NetworkOptions(preprocess=asked, allow_none=True)
    made = load_subject(tiny.write(tmp_path), options).facts["preprocessing"]
    assert (made["resize"], made["size_input"]) == ([640, 448], "image_size")


def test_a_recipe_is_not_for_a_network_of_other_inputs(tmp_path):
    untold = {key: fact for key, fact in tiny.FACTS.items() if key != "size_input"}
    path = tiny.write(tmp_path, preprocessing=untold)
    with pytest.raises(UsageError, match="pictures serve one input, this network takes 2"):
        load_subject(path, NetworkOptions(preprocess="mmdet", allow_none=True))
