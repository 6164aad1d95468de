"""What is taken of what a file says, beside what a user says and what was published."""

import pytest

from simam_deploy.core.specs import SimamSite, TensorSpec
from simam_deploy.errors import CheckpointError, UsageError
from simam_deploy.models.zoo import CIFAR, IMAGENET, WESPEAKER
from simam_deploy.source.lambdas import choose_lambda, contradicted_lambda, other_lambdas
from simam_deploy.source.stated.choice import input_shape, name_classes, take
from simam_deploy.source.stated.record import Said, Stated

LEVELS = {"color": "BGR", "scale": 1.0, "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0]}
LETTERBOX = {"resize": [64, 48], "keep_ratio": True, "pad_divisor": 16}


def stated(**said):
    return Stated(**{what: (Said(value, f"file ({what})"),) for what, value in said.items()})


def test_what_a_file_says_takes_the_place_of_what_was_published():
    taken = take(stated(levels=LEVELS), (1, 3, 224, 224), IMAGENET.preprocessing)
    assert taken.facts["preprocessing"] == {**IMAGENET.preprocessing, **LEVELS}
    assert taken.notes == ("pixels: color BGR, scale 1, mean 1, 2, 3, std 4, 5, 6, file (levels)",)
    taken = take(stated(fits=LETTERBOX), (1, 3, 48, 64), IMAGENET.preprocessing)
    kept = {k: v for k, v in IMAGENET.preprocessing.items() if k not in ("resize", "crop")}
    assert taken.facts["preprocessing"] == {**kept, **LETTERBOX}
    assert take(Stated(), (1, 3, 32, 32), CIFAR.preprocessing).facts == {
        "preprocessing": dict(CIFAR.preprocessing)
    }


def test_half_of_it_is_left_open_where_nothing_was_published():
    taken = take(stated(levels=LEVELS), (1, 3, 64, 64))
    assert taken.facts == {}
    assert "the rest of the preprocessing is said nowhere: left open" in taken.notes[0]
    taken = take(stated(levels=LEVELS, fits=LETTERBOX), (1, 3, "height", "width"))
    assert taken.facts["preprocessing"] == {
        "kind": "image", "layout": "NCHW", **LEVELS, **LETTERBOX
    }  # fmt: skip
    assert taken.contradictions == ()


def test_pictures_are_no_matter_of_speech():
    taken = take(
        stated(levels=LEVELS, fits=LETTERBOX, sizes=(9, 9)), (1, 200, 80), WESPEAKER.preprocessing
    )
    assert taken.facts["preprocessing"] == dict(WESPEAKER.preprocessing)
    assert (taken.notes, taken.contradictions) == ((), ())


def test_other_channels_than_the_input_has_are_left_out():
    taken = take(stated(levels=LEVELS, fits=LETTERBOX), (1, 1, 48, 64))
    assert "preprocessing" not in taken.facts
    assert taken.contradictions == (
        "the input has 1 channels, and file (levels) normalises 3: left out",
    )


def test_an_input_of_the_size_that_the_file_says():
    said = stated(sizes=(48, 64), levels={**LEVELS, "mean": [1.0], "std": [1.0]})
    assert input_shape(None, said) == ((1, 1, 48, 64), ("input of 48x64, file (sizes)",))
    assert input_shape(None, said, (3, 224, 224))[0] == (1, 3, 48, 64)
    assert input_shape((1, 3, 8, 8), said) == ((1, 3, 8, 8), ())
    assert input_shape(None, Stated()) == (None, ())
    assert input_shape(None, said, WESPEAKER.input_shape) == (None, ())


def test_no_size_is_so_large_on_a_files_word():
    """Three pictures of 4096 x 4096 take a ResNet 12 GB."""
    assert input_shape(None, stated(sizes=(4096, 4096))) == (None, ())
    (line,) = take(stated(sizes=(4096, 4096)), (1, 3, 224, 224)).contradictions
    assert line.startswith("the input is 224x224, and file (sizes) says 4096x4096")


@pytest.mark.parametrize(
    ("shapes", "kept"),
    [
        ([("batch", 3)], True),
        ([("batch", 4)], False),
        ([("batch", 4), ("batch", 3)], True),
        ([("batch", "classes")], True),
        ([("batch", 300, 6)], True),
        ([("batch", 4), ("batch", 8, 6)], True),
    ],
)
def test_class_names_fit_a_classifiers_scores(shapes, kept):
    outputs = [TensorSpec("x", "float32", shape) for shape in shapes]
    facts, against = name_classes(None, ["a", "b", "c"], outputs)
    assert facts == ({"classes": ["a", "b", "c"]} if kept else {})
    assert bool(against) is not kept


def test_lambda_in_its_order():
    said = (Said(0.1, "file (args.e_lambda)"),)
    assert choose_lambda(0.5, said, CIFAR, "m.pth").source == "given"
    assert choose_lambda(None, said, CIFAR, "m.pth").value == 0.1
    assert choose_lambda(None, (), CIFAR, "m.pth").source.startswith("assumed")
    with pytest.raises(UsageError, match="a finite number >= 0, got -1"):
        choose_lambda(-1, said, CIFAR, "m.pth")
    two = (*said, Said(0.2, "file (opt.e_lambda)"))
    with pytest.raises(CheckpointError, match=r"^m.pth: has two values of lambda: 0.1, file .ar"):
        choose_lambda(None, two, CIFAR, "m.pth")
    assert choose_lambda(0.1, two, CIFAR, "m.pth").value == 0.1
    lines = list(contradicted_lambda(0.1, two))
    assert lines == ["lambda 0.1 was given, and file (opt.e_lambda) says 0.2"]


def test_lambdas_of_a_network_and_of_its_file():
    """Each that the file names must be some site's; per stage there may be more."""
    sites = [SimamSite(str(i), (1, 2, 3, 3), value) for i, value in enumerate((0.1, 1e-4))]
    one, two, none = (Said(value, "file (x)") for value in (0.1, 0.10000000149, 0.2))
    assert list(other_lambdas(sites, (one, two))) == []
    (line,) = other_lambdas(sites, (one, none))
    assert line.startswith("file (x) says lambda 0.2, and the network's SimAM have 0.0001, 0.1: ")
    (line,) = other_lambdas(sites, (Said("'small'", "file (x)"),))
    assert "says lambda 'small'" in line
