"""Whose word on pictures and classes holds, where two models state it."""

from types import SimpleNamespace

import pytest

from simam_deploy.models.zoo import CIFAR, IMAGENET, WESPEAKER
from simam_deploy.source.recipes import recipe_text
from simam_deploy.verify.sample_facts import notes_on, sample_facts


def model(preprocessing=None, classes=None):
    facts = {"preprocessing": preprocessing, "classes": classes}
    return SimpleNamespace(facts={key: fact for key, fact in facts.items() if fact})


ONE, OTHER = CIFAR.preprocessing, IMAGENET.preprocessing


@pytest.mark.parametrize(
    ("reference", "candidate", "asked", "taken"),
    [
        (ONE, None, False, ONE),
        (None, ONE, False, ONE),
        (ONE, OTHER, False, OTHER),  # a checkpoint states its family's usual
        (ONE, OTHER, True, ONE),
        (None, None, False, None),
    ],
)
def test_the_users_word_the_manifests_and_the_familys(reference, candidate, asked, taken):
    stated = sample_facts(model(reference), model(candidate), asked)
    assert stated.preprocessing == taken
    assert bool(stated.notes) == (reference is not None and candidate is not None)


def test_what_differs_is_said():
    one, other = recipe_text(ONE), recipe_text(OTHER)
    (note,) = sample_facts(model(ONE), model(OTHER), False).notes
    assert note == (
        f"pictures are prepared as the candidate states: {other}; the reference states: {one}"
    )
    (note,) = sample_facts(model(ONE), model(OTHER), True).notes
    assert note == f"pictures are prepared as asked: {one}; the candidate states: {other}"
    assert sample_facts(model(ONE), model(dict(ONE)), False).notes == ()
    assert sample_facts(model(WESPEAKER.preprocessing), model(ONE), False).notes == ()


def test_the_candidate_names_the_classes_of_a_checkpoint():
    assert sample_facts(model(), model(classes=["a"]), False).classes == ["a"]
    assert sample_facts(model(classes=["b"]), model(classes=["a"]), False).classes == ["b"]


@pytest.mark.parametrize("by_place", [True, False])
def test_folders_that_are_numbered_by_their_order_are_said_to_be(by_place):
    dataset = SimpleNamespace(notes=("one",), by_place=by_place, classes=("cat", "dog"))
    said = "nothing names the classes: the folders (cat, dog, ...) are taken in their order"
    assert list(notes_on(dataset)) == ["one", said] if by_place else ["one"]
