import pytest

from simam_deploy.engine.run.choose import Figures, best, verdict


def figures(*told):
    names = ("wide", "portable", "plugin")
    return [Figures(name, *each) for name, each in zip(names, told, strict=False)]


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ([(31, 9, 2.0), (54, 9, 1.0), (30, 9, 3.0)], 1),  # time beats launches
        ([(31, 9, None), (54, 9, None), (30, 9, None)], 2),
        ([(31, 9, None), (31, 8, None), (31, 8, None)], 1),  # the smallest, then the first
        ([(31, 9, 1.0), (31, 8, 1.0)], 1),
        ([(None, 9, None), (31, 8, None)], 0),  # not known of all
        ([(31, 9, None), (30, 9, 1.0)], 1),  # times of some are none
    ],
)
def test_the_best_by_what_is_known_of_all(told, kept):
    assert best(figures(*told)) == kept


def test_what_is_said():
    assert verdict(figures((31, 9, None), (54, 9, None)), 0) == (
        "wide kept: wide 31 launches, portable 54 launches; no GPU to time them"
    )
    assert verdict(figures((31, 9, 1.5), (54, 9, 1.25)), 1) == (
        "portable kept: wide 1.500 ms, portable 1.250 ms"
    )
