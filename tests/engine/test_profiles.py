import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.engine.profiles import default_profile, given_profiles
from simam_deploy.errors import UsageError


def spec(*shape, name="x"):
    return TensorSpec(name, "float32", shape)


def shapes(profiles):
    return [(r.name, r.min, r.opt, r.max) for profile in profiles for r in profile]


@pytest.mark.parametrize(
    ("shape", "facts", "wanted"),
    [
        (("batch", 3, 224, 224), {}, ((1, 3, 224, 224), (8, 3, 224, 224), (32, 3, 224, 224))),
        (("batch", 3, "h", "w"), {}, ((1, 3, 32, 32), (8, 3, 224, 224), (32, 3, 448, 448))),
        (
            ("batch", 3, "h", "w"),
            {"smallest_input": [1, 3, 500, 33]},
            ((1, 3, 500, 33), (8, 3, 500, 224), (32, 3, 500, 448)),
        ),
        ((1, "frames", 80), {}, ((1, 50, 80), (1, 300, 80), (1, 3000, 80))),
        (
            ("batch", "frames", 80),
            {"smallest_input": "what a stranger wrote"},
            ((1, 50, 80), (8, 300, 80), (32, 3000, 80)),
        ),
    ],
)
def test_sensible_ranges(shape, facts, wanted):
    assert shapes(default_profile([spec(*shape)], facts)) == [("x", *wanted)]


def test_what_is_fixed_beside_what_is_free_has_no_range():
    """A number has no size to begin with."""
    inputs = [spec(name="limit"), spec("batch", 8), spec(10, 4, name="anchors")]
    assert shapes(default_profile(inputs, {})) == [("x", (1, 8), (8, 8), (32, 8))]


def test_a_static_graph_has_none():
    assert default_profile([spec(1, 3, 32, 32)], {}) == ()


def test_shapes_not_given_are_as_opt():
    given = given_profiles([spec("n", 3)], [], [{"x": (4, 3)}], [{"x": (9, 3)}])
    assert shapes(given) == [("x", (4, 3), (4, 3), (9, 3))]


def test_a_static_input_needs_no_range():
    inputs = [spec("n", 3), spec(2, name="fixed")]
    assert shapes(given_profiles(inputs, [], [{"x": (4, 3)}], [])) == [("x", *[(4, 3)] * 3)]


def test_every_dynamic_input_needs_one():
    inputs = [spec("n", 3), spec("n", 2, name="other")]
    with pytest.raises(UsageError, match="input other .* is dynamic and has no shape to tune for"):
        given_profiles(inputs, [], [{"x": (4, 3)}], [])


def test_as_many_of_each():
    with pytest.raises(UsageError, match="one each a profile"):
        given_profiles([spec("n", 3)], [{"x": (1, 3)}], [{"x": (4, 3)}, {"x": (8, 3)}], [])
