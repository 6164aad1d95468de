import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.engine.profiles import Pictures, default_profile, given_profiles
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
    given = given_profiles([spec("n", 3)], [], [{"x": (4, 3)}], [{"x": (9, 3)}], {})
    assert shapes(given) == [("x", (4, 3), (4, 3), (9, 3))]


def test_a_static_input_needs_no_range():
    inputs = [spec("n", 3), spec(2, name="fixed")]
    assert shapes(given_profiles(inputs, [], [{"x": (4, 3)}], [], {})) == [("x", *[(4, 3)] * 3)]


def test_every_dynamic_input_needs_one():
    inputs = [spec("n", 3), spec("n", 2, name="other")]
    with pytest.raises(UsageError, match="input other .* is dynamic and has no shape to tune for"):
        given_profiles(inputs, [], [{"x": (4, 3)}], [], {})


def test_as_many_of_each():
    with pytest.raises(UsageError, match="one each a profile"):
        given_profiles([spec("n", 3)], [{"x": (1, 3)}], [{"x": (4, 3)}, {"x": (8, 3)}], [], {})


YOLO = Pictures((640, 640), 32)
DETECTOR = Pictures((800, 1344), 32)


@pytest.mark.parametrize(
    ("pictures", "facts", "low", "opt", "high"),
    [
        (YOLO, {}, (32, 32), (640, 640), (640, 640)),
        (DETECTOR, {}, (32, 32), (800, 1344), (1344, 1344)),
        (DETECTOR, {"smallest_input": [1, 3, 33, 65]}, (64, 96), (800, 1344), (1344, 1344)),
        (Pictures((224, 224)), {}, (32, 32), (224, 224), (448, 448)),
    ],
)
def test_free_sides_take_the_networks_own_size(pictures, facts, low, opt, high):
    (profile,) = default_profile([spec(1, 3, "h", "w")], facts, pictures)
    assert shapes([profile]) == [("x", (1, 3, *low), (1, 3, *opt), (1, 3, *high))]


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((0, 3, 64, 64), "a dimension is at least 1"),
        ((1, 3, 0, 64), "a dimension is at least 1"),
        ((1, 3, 32, 64), "the network takes no less than 1x3x64x64"),
        ((1, 3, 80, 64), "its sides have to be multiples of 32"),
    ],
)
def test_what_can_never_fit_is_refused(shape, says):
    inputs, facts = [spec("n", 3, "h", "w")], {"smallest_input": [2, 3, 64, 64]}
    given_profiles(inputs, [], [{"x": (1, 3, 64, 96)}], [], facts, YOLO)
    with pytest.raises(UsageError, match=says):
        given_profiles(inputs, [{"x": shape}], [{"x": (1, 3, 128, 128)}], [], facts, YOLO)
