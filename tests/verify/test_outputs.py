import json
import re

import numpy as np
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.core.validation import ValidationReport
from simam_deploy.errors import InputError
from simam_deploy.verify.cases import KINDS, Drawn, drawn_cases
from simam_deploy.verify.layout import Layout
from simam_deploy.verify.outputs import compare, record, run_cases
from simam_deploy.verify.rule import rule_for
from simam_deploy.verify.spread import Behaviour, measure_spread
from simam_deploy.verify.tolerance import TOLERANCES


class Scaled:
    """A runner that multiplies its input and lets a test bend the result."""

    inputs = (TensorSpec("x", "float32", ("n", 3, 4, 4)),)
    outputs = (TensorSpec("y", "float32", ("n", 3, 4, 4)),)
    name = "scaled"

    def __init__(self, factor, bend=lambda y: y):
        self.factor, self.bend = factor, bend

    def run(self, feeds):
        return {"y": self.bend(feeds["x"] * np.float32(self.factor))}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass


class Noisy(Scaled):
    """Every run is off by a fraction, drawn anew."""

    def __init__(self, factor, noise, make=None):
        self.rng, self.noise = np.random.default_rng(0), noise
        self.make = make or (lambda x: x * np.float32(factor))

    def run(self, feeds):
        y = self.make(feeds["x"])
        return {"y": y * (1 + self.noise * self.rng.choice([-1, 1], y.shape))}


RULE = rule_for("fp32", "fp32")
CASES = drawn_cases([((1, 3, 4, 4),), ((3, 3, 4, 4),)], RULE.kinds)


def behaving(outputs, disturbed) -> Behaviour:
    layout = Layout()
    return Behaviour(outputs, measure_spread(outputs, (disturbed, disturbed), layout), layout)


def check(candidate, spread=0.0, rule=RULE, cases=CASES) -> ValidationReport:
    recording = record(Scaled(2.0), cases)
    outputs = run_cases(Scaled(2.0), cases)
    behaviour = behaving(outputs, Noisy(2.0, spread))
    return compare(recording, rule, behaviour, run_cases(candidate, cases), candidate.name)


def set_first(value):
    def bend(y):
        y.flat[0] = value
        return y

    return bend


def test_equal_runners_agree_exactly():
    report = check(Scaled(2.0))
    assert report.passed
    assert report.summary()["max_rel"] == 0.0
    assert report.summary()["cases"] == len(CASES) == 3


@pytest.mark.parametrize(
    ("spread", "bound"),
    [(0.0, 5e-6), (1e-7, 5e-6), (1e-2, 1e-3)],
    ids=["floor", "still the floor", "cap"],
)
def test_the_bound_has_a_floor_and_a_cap(spread, bound):
    within, beyond = check(Scaled(2 + 1.8 * bound), spread), check(Scaled(2 + 2.2 * bound), spread)
    assert within.passed
    assert not beyond.passed
    assert beyond.worst.max_rel == pytest.approx(1.1 * bound, rel=0.05)
    assert beyond.worst.allowed == pytest.approx(bound, rel=0.02)
    assert "16 x" in beyond.rule


def test_the_bound_follows_the_networks_own_rounding():
    """16 times it; the noise of a slice is a third more or less than what its values say."""
    assert check(Scaled(2 * (1 + 0.6 * 16e-5)), 1e-5).passed
    beyond = check(Scaled(2 * (1 + 1.6 * 16e-5)), 1e-5)
    assert not beyond.passed
    assert beyond.worst.max_rel > beyond.worst.allowed > 5e-5


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (set_first(np.nan), "1 of 48 values of the candidate are NaN"),
        (set_first(np.inf), "1 of 48 values of the candidate are NaN or infinite"),
        (lambda y: y[:, :2], r"shape \(1, 2, 4, 4\), expected \(1, 3, 4, 4\)"),
        (lambda y: y.astype(np.int64), "int64, expected float32"),
    ],
)
def test_what_cannot_be_compared_fails(bend, reason):
    report = check(Scaled(2.0, bend))
    assert not report.passed
    assert re.match(reason, report.worst.reason)


def made(make, bend=lambda y: y, noise=1e-7, rule=RULE, cases=CASES):
    """Compare a function of the input with itself, bent."""

    class Made(Scaled):
        def __init__(self, bend=lambda y: y):
            self.bend = bend

        def run(self, feeds):
            return {"y": self.bend(make(feeds["x"]))}

    recording = record(Made(), cases)
    behaviour = behaving(run_cases(Made(), cases), Noisy(1.0, noise, make))
    return compare(recording, rule, behaviour, run_cases(Made(bend), cases), "bent")


def detector(x):
    """Give (N, 6, 16): boxes of 0 to 640, and two scores of 0 to 1 that are mostly small."""
    pooled = x.reshape(len(x), 48, 1)[:, :16].transpose(0, 2, 1)
    scores = 1 / (1 + np.exp(-np.clip(pooled, -9, 9) - [[[3.0], [1.0]]]))
    boxes = 640 / (1 + np.exp(-np.clip(np.repeat(pooled, 4, axis=1), -9, 9)))
    return np.concatenate([boxes, scores], axis=1).astype(np.float32)


def on_scores(change):
    def bend(y):
        y = y.copy()
        y[:, 4:] = change(y[:, 4:])
        return y

    return bend


def on_boxes(change):
    def bend(y):
        y = y.copy()
        y[:, :4] = change(y[:, :4])
        return y

    return bend


FAULTS = {
    "scores x 0.95": on_scores(lambda s: s * np.float32(0.95)),
    "scores + 0.05": on_scores(lambda s: s + np.float32(0.05)),
    "scores zeroed": on_scores(np.zeros_like),
    "classes swapped": on_scores(lambda s: s[:, ::-1]),
    "boxes + 10 px": on_boxes(lambda b: b + 10),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_scores_are_judged_beside_boxes(precision, fault):
    """One maximum over [boxes of 640 | scores of 1] allowed 2.6 of a score in float16."""
    rule = rule_for("fp32", precision)
    assert made(detector, rule=rule).passed
    report = made(detector, FAULTS[fault], rule=rule)
    assert not report.passed
    assert "along axis" in report.worst.where


def test_an_image_that_moves_little_is_judged_beside_a_loud_one():
    """Of a batch, each row has its own scale: one 100 times as loud as another hides nothing."""
    cases = (Drawn(("normal", "large"), ((2, 3, 4, 4),)),)
    bent = made(lambda x: x, lambda y: y * np.float32([1.0001, 1]).reshape(2, 1, 1, 1), cases=cases)
    assert not bent.passed
    assert bent.worst.where.startswith("normal")


def test_a_single_number_is_not_refused_by_chance():
    """Of 1000 logits each is a slice: correct ones, off as rounding is, all pass."""
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((48, 1000)).astype(np.float32)

    def logits(x):
        return (x.reshape(len(x), 48) @ weights).astype(np.float32)

    def wobbled(y):
        return (y + 1e-4 * np.abs(weights).sum(0) * rng.uniform(-1, 1, y.shape) / 48).astype("f4")

    class Disturbed(Noisy):
        def run(self, feeds):
            y = logits(feeds["x"])
            return {"y": y + 1e-4 * np.abs(weights).sum(0) * self.rng.uniform(-1, 1, y.shape) / 48}

    class Plain(Scaled):
        def run(self, feeds):
            return {"y": self.bend(logits(feeds["x"]))}

    recording = record(Plain(1.0), CASES)
    behaviour = behaving(run_cases(Plain(1.0), CASES), Disturbed(1.0, 0.0))
    got = run_cases(Plain(1.0, wobbled), CASES)
    assert compare(recording, RULE, behaviour, got, "wobbled").passed


@pytest.mark.parametrize("dtype", [np.int64, bool])
def test_integers_and_booleans_are_compared_exactly(dtype):
    def labels(x):
        return (x > 0.5).astype(dtype)

    def flipped(y):
        y = y.copy()
        y.flat[5] = 1 - y.flat[5]
        return y

    assert made(labels, noise=0).passed
    assert not made(labels, flipped, noise=0).passed


def test_an_index_that_is_off_by_one_everywhere_fails():
    def index(x):
        return x.reshape(len(x), -1).argmax(axis=1)

    assert not made(index, lambda y: y + 1, noise=0).passed


def test_an_empty_output_is_no_agreement():
    report = made(lambda x: x[:, :0])
    assert not report.passed
    assert "nothing to compare" in report.worst.reason


def test_infinities_of_the_reference_are_matched():
    """A masked score is -inf, and rightly so in both."""

    def masked(x):
        return np.where(x > 2, -np.inf, x).astype(np.float32)

    assert made(masked).passed
    assert not made(masked, lambda y: np.where(np.isinf(y), np.inf, y)).passed
    assert not made(masked, lambda y: np.where(np.isinf(y), 0, y)).passed


def test_what_the_source_has_no_number_for_does_not_count():
    """A detector takes exp of its logits: inputs of 100 are beyond it."""

    def over(x):
        return np.where(np.abs(x).max(axis=(1, 2, 3), keepdims=True) > 90, np.nan, x)

    recording = record(Scaled(2.0, over), CASES)
    skipped = [case.kinds[row] for case in CASES for row in recording.skipped[case.name]]
    assert skipped == ["large"]
    assert made(over).passed


def test_a_source_of_nothing_but_nan_is_refused():
    with pytest.raises(InputError, match="NaN on every input"):
        made(lambda x: x * np.float32(np.nan))


def test_chance_in_the_source_is_named():
    rng = np.random.default_rng()
    dropout = Scaled(2.0, lambda y: y * (rng.random(y.shape) > 0.5))
    with pytest.raises(InputError, match=r"two runs of the source .*dropout"):
        record(dropout, CASES)


def test_a_missing_output_fails():
    recording = record(Scaled(2.0), CASES)
    behaviour = behaving(recording.outputs, Noisy(2.0, 0.0))
    got = {case: {"z": outputs["y"]} for case, outputs in recording.outputs.items()}
    assert not compare(recording, RULE, behaviour, got, "other").passed


def test_a_reference_of_zeros_is_compared_absolutely():
    assert made(np.zeros_like, noise=0).passed
    assert not made(np.zeros_like, lambda y: y + np.float32(1e-3), noise=0).passed


def test_no_cases_is_no_pass():
    assert not ValidationReport("a", "b", "fp32", "rule", ()).passed


def test_details_are_json_without_nan():
    report = check(Scaled(2.0, set_first(np.nan)))
    json.dumps(report.details(), allow_nan=False)
    assert TOLERANCES["fp32"].cap == 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_makes_the_same_input_each_time(kind):
    case = Drawn((kind,), ((2, 3, 4, 4),))
    first, second = case.feeds(Scaled.inputs)["x"], case.feeds(Scaled.inputs)["x"]
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32


def test_the_kinds_are_what_they_say():
    spec, shape = Scaled.inputs, (2, 3, 8, 8)
    drawn = {kind: Drawn((kind,), (shape,)).feeds(spec)["x"] for kind in KINDS}
    assert 0.8 < drawn["normal"].std() < 1.2
    assert 80 < drawn["large"].std() < 120
    assert np.ptp(drawn["constant"], axis=(2, 3)).max() == 0
    assert len(np.unique(drawn["constant"])) == 6
    assert drawn["picture"].min() >= 0
    assert drawn["picture"].max() <= 1
    assert drawn["picture"].std() > 0.1
    assert not drawn["blank"].any()


def test_pictures_are_normalised_as_the_network_states():
    facts = {"kind": "image", "resize": 8, "scale": 1 / 255, "mean": [0.5], "std": [0.25]}
    (case,) = drawn_cases([((2, 1, 8, 8),)], ("picture", "blank"), facts)
    picture, blank = case.feeds((TensorSpec("x", "float32", (2, 1, 8, 8)),))["x"]
    assert -2 <= picture.min() < picture.max() <= 2
    np.testing.assert_allclose(blank, -2)


SIZED = (TensorSpec("image", "float32", ("n", 3, 64, 96)), TensorSpec("s", "float32", ("n", 2)))


def test_every_second_row_is_padded_where_the_network_is_told_sizes():
    facts = {"kind": "image", "resize": [96, 64], "keep_ratio": True, "pad_divisor": 32,
             "scale": 1 / 255, "mean": [0.5] * 3, "std": [0.25] * 3, "size_input": "s"}  # fmt: skip
    (case,) = drawn_cases([((4, 3, 64, 96), (4, 2))], ("normal", "picture"), facts)
    feeds = case.feeds(SIZED)
    assert feeds["s"].tolist() == [[64, 96], [56, 84]] * 2
    assert feeds["s"].dtype == np.float32
    for image, (height, width) in zip(feeds["image"], feeds["s"].astype(int), strict=True):
        assert image[:, :height, :width].all()
        assert not image[:, height:].any()
        assert not image[:, :, width:].any()
    np.testing.assert_array_equal(feeds["image"], case.feeds(SIZED)["image"])


def test_of_single_rows_some_are_padded_too():
    facts = {"kind": "image", "size_input": "s"}
    shapes = [((1, 3, 800, 1344), (1, 2))]
    sizes = {
        case.kinds[0]: case.feeds(SIZED)["s"][0].tolist()
        for case in drawn_cases(shapes, ("normal", "picture"), {**facts, "kind": "x"})
    }
    assert sizes == {"normal": [800, 1344], "picture": [769, 1313]}


def test_a_second_input_that_is_no_size_is_drawn_as_ever():
    (case,) = drawn_cases([((2, 3, 64, 96), (2, 2))], ("normal",), {"kind": "x"})
    feeds = case.feeds(SIZED)
    assert np.abs(feeds["s"]).max() < 5
    assert feeds["image"].all()


def test_every_kind_and_every_shape_is_met_in_few_runs():
    free = [((1, 3, 64, 64),), ((3, 3, 90, 103),)]
    assert [case.kinds for case in drawn_cases(free, RULE.kinds)] == [
        ("normal",),
        ("picture", "constant", "blank"),
        ("large",),
    ]
    fixed = drawn_cases([((1, 3, 64, 64),)], RULE.kinds)
    assert [case.kinds for case in fixed] == [(kind,) for kind in KINDS]
