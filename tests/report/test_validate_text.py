from dataclasses import replace

import pytest

from simam_deploy.core.validation import Departure
from simam_deploy.report.validate_text import validate_table
from simam_deploy.verify.report import (
    Accuracy,
    Bisection,
    Detections,
    MeanPrecision,
    Scores,
)
from tests.report.reports import BROKEN, COLLAPSED, report, right


def words(text: str) -> str:
    return " ".join(text.split())


def test_what_passed():
    table = validate_table(report(right(0), right(1)))
    assert table.startswith("b.onnx against a.pth: passed\n")
    assert "gates 2 of 2 within their bound" in words(table)
    assert "layer0.1.conv2.1 0.6225 .. 0.9500 0.6222 .. 0.9500 0.99990 0.0% 0.497 0.55" in words(
        table
    )
    assert "!" not in table
    assert max(map(len, table.splitlines())) <= 100


def test_failures_stand_on_top_and_at_their_site():
    table = validate_table(report(right(0), COLLAPSED, BROKEN, replace(BROKEN, name="next")))
    lines = table.splitlines()
    assert lines[0].endswith("FAILED")
    assert "3 of 4 gates: deep.collapsed: off by 380 units of fp16 (allowed 0.55)" in words(table)
    (row,) = [i for i, line in enumerate(lines) if line.startswith("  deep.collapsed")]
    assert lines[row + 1].strip() == "! beyond its bound"
    assert table.count("! 3 values NaN") == 1
    assert max(map(len, lines)) <= 100


def test_a_wrong_output_tells_where_it_departs():
    found = report(right(0))
    worst = replace(found.validation.results[0], max_rel=0.5)
    departure = Departure("layer2", 1e-3, 0.7, ("conv_7", "conv_8"))
    validation = replace(found.validation, results=(worst,), departure=departure)
    table = words(validate_table(replace(found, validation=validation)))
    assert "departs at the map of layer2 (1.0e-03 before, 7.0e-01 there), made by conv_7" in table


def test_accuracy():
    accuracy = Accuracy(360, 0.9972, 0.999, Scores(0.98, 1.0), Scores(0.97, 1.0))
    table = words(validate_table(replace(report(right(0)), accuracy=accuracy)))
    assert "! agreement 0.9972 on 360 samples" in table
    assert "top-1 98.00% reference, 97.00% candidate" in table


def test_detections():
    before, after = MeanPrecision(0.412, 0.6), MeanPrecision(0.409, 0.601)
    found = Detections(20, 0.95, 0.98, 120, 7, 5, 0.98765, 0.0123, before, after)
    table = words(validate_table(replace(report(right(0)), accuracy=found)))
    assert "! agreement 0.9500 on 20 samples (0.98)" in table
    assert "agreement F1 95.00% of 120 detections in 20 samples (at least 98.00%)" in table
    assert "7 lost, 5 added; the others overlap by 0.9877, their scores differ by 1.2e-02" in table
    assert "mAP 50-95 41.20% reference, 40.90% candidate (-0.30 points)" in table
    assert "mAP 50 60.00% reference, 60.10% candidate (+0.10 points)" in table
    unlabelled = replace(found, reference=None, candidate=None)
    assert "mAP" not in validate_table(replace(report(right(0)), accuracy=unlabelled))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Bisection(("a", "b"), 90, 31, True, "", "m.onnx"), "2 of 90 nodes must stay float32"),
        (Bisection(("a",), 90, 128, False), "there may be fewer"),
        (Bisection((), 90, 2, True), "convert it anew"),
        (Bisection((), 90, 1, False, "not the precision"), "bisection: not the precision"),
        (Bisection(tuple(map(str, range(30))), 90, 99, True), "and 10 more"),
    ],
)
def test_bisection(found, says):
    assert says in words(validate_table(replace(report(right(0)), bisection=found)))
