"""Recipes: every one read, written and read again; what contradicts itself is refused."""

import itertools

import pytest

from simam_deploy.core.facts import FACTS
from simam_deploy.models.zoo import BACKBONE, CIFAR, IMAGENET, WESPEAKER
from simam_deploy.source.recipes import RECIPES, read_recipe, recipe_text

SHAPE = (1, 3, 64, 96)


def facts(text, shape=SHAPE):
    return read_recipe(text).complete(shape)


READ = {
    "imagenet": IMAGENET.preprocessing,
    "cifar": CIFAR.preprocessing,
    "mmdet": BACKBONE.preprocessing,
    "yolo": {
        "resize": [96, 64],
        "keep_ratio": True,
        "pad": "centre",
        "pad_value": 114,
        "scale": 1 / 255,
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "color": "RGB",
    },
    "resize=256,crop=224,mean=0.485,0.456,0.406,std=0.229,0.224,0.225": IMAGENET.preprocessing,
    " order=rgb, resize=32,mean=0.4914,0.4822,0.4465,std=0.2023,0.1994,0.201": CIFAR.preprocessing,
    "yolo,resize=416": {"resize": 416, "pad": "centre", "pad_value": 114},
    "yolo,fill=0,letterbox=corner": {"pad": "corner", "pad_value": 0},
    "ImageNet,Order=BGR": {**IMAGENET.preprocessing, "color": "BGR"},
    "resize=48x32": {"resize": [48, 32], "stretch": True, "mean": [0, 0, 0]},
    "resize=48x32,letterbox=center": {"resize": [48, 32], "keep_ratio": True, "pad_value": 114},
    "letterbox=corner,divisor=32": {"resize": [96, 64], "pad": "corner", "pad_divisor": 32},
    "crop=28": {"resize": 28, "crop": 28},
    "Resize=48X32, Letterbox=Corner": {"resize": [48, 32], "pad": "corner"},
    "mean=0.5,std=0.5": {"resize": 64, "mean": [0.5] * 3, "std": [0.5] * 3},
    "scale=1/127.5,mean=1": {"scale": 1 / 127.5, "mean": [1, 1, 1]},
    "scale=1,mean=123.675,116.28,103.53,std=58.395,57.12,57.375": {"scale": 1},
}


@pytest.mark.parametrize(("text", "wanted"), READ.items(), ids=READ)
def test_a_recipe_is_facts(text, wanted):
    got = facts(text)
    assert FACTS["preprocessing"].holds(got)
    assert {key: got[key] for key in wanted} == wanted
    assert (got["kind"], got["layout"]) == ("image", "NCHW")


@pytest.mark.parametrize("text", READ)
def test_facts_are_written_as_the_recipe_that_makes_them(text):
    """But for `pad`, which the zoo leaves at its default, the corner."""
    written = recipe_text(facts(text))
    usual = {"pad": "corner"} if "keep_ratio" in facts(text) else {}
    assert facts(written, (1, 3, 5, 7)) == {**usual, **facts(text)}


def test_one_channel_has_one_mean():
    assert facts("mean=0.5", (1, 1, 8, 8))["mean"] == [0.5]
    assert facts("resize=8", (1, 1, 8, 8))["std"] == [1.0]


def test_numbers_are_written_as_they_are_read():
    numbers = (1 / 3, 0.1 + 0.2, 1e-6, 123456.789, 3, 1 / 255, 0.0)
    for number in numbers:
        made = {**facts("imagenet"), "mean": [number] * 3, "scale": 1e4}
        assert facts(recipe_text(made))["mean"] == [number] * 3


REFUSED = {
    "": "no recipe ''",
    "imagnet": "no recipe 'imagnet': wanted imagenet, cifar, yolo",
    "yolo,": "no recipe 'yolo,'",
    "size=3": "no key 'size': wanted a list of letterbox=, resize=",
    "resize=3,resize=4": "a key is said twice",
    "resize=": "resize is a side or WIDTHxHEIGHT, to 4096, got ''",
    "resize=0": "resize is a side",
    "resize=4097": "resize is a side",
    "resize=8x": "resize is a side",
    "resize=-8": "resize is a side",
    "resize=8x8x8": "resize is a side",
    "crop=2.5": "crop is a whole number from 1 to 4096",
    "crop=inf": "crop is a whole number",
    "resize=10,crop=20": "a picture of 10 has no 20 to crop",
    "imagenet,letterbox=centre": "crop goes with a resize to one side",
    "resize=8x9,crop=4": "crop goes with a resize to one side",
    "letterbox=640": "letterbox is centre, or corner .* the size is said by resize=",
    "fill=3": "add letterbox=",
    "divisor=3": "add letterbox=",
    "letterbox=centre,fill=256": "fill is a number from 0 to 255",
    "mean=1,2": "one number, or three",
    "std=1,1,1,1": "one number, or three",
    "mean=a": "mean is a number",
    "mean=nan": "mean is a number",
    "mean=": "mean is a number",
    "mean=123.675,116.28,103.53": "123.675 is beyond pixels of 0 to 1.*say scale=1",
    "std=58": "58 is beyond pixels of 0 to 1",
    "std=0": "std is a number from 1e-06",
    "std=-1": "std is a number from 1e-06",
    "scale=1/0": "scale is a number",
    "scale=0": "scale is a number",
    "order=GRB": "order is RGB or BGR",
    "\x1b[2J": r"no recipe '\\x1b\[2J'",
    "mean=" + "9" * 5000: "mean is a number",
}


@pytest.mark.parametrize(("text", "says"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_no_recipe(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        read_recipe(text)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_free_sizes_have_to_be_said():
    assert facts("yolo,resize=320", (1, 3, "h", "w"))["resize"] == 320
    with pytest.raises(ValueError, match=r"free: say which by resize="):
        facts("yolo", (1, 3, "h", "w"))


def test_what_is_no_picture_is_no_recipe():
    assert recipe_text(WESPEAKER.preprocessing) is None
    assert recipe_text({}) is None
    for damage in ({"color": "HSV"}, {"mean": "a"}, {"mean": [0.5] * 10_000}, {"resize": 10**9}):
        assert recipe_text({**IMAGENET.preprocessing, **damage}) is None


def test_recipes_are_all_different():
    texts = [recipe_text(facts(name)) for name in RECIPES]
    assert all(a != b for a, b in itertools.combinations(texts, 2))
