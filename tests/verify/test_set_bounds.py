"""How far the rows of a set may be off: as far as rounding moves any of them, and their own cap."""

import numpy as np
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.selection.outputs import Selection
from simam_deploy.verify.cases import Drawn
from simam_deploy.verify.layout import Layout
from simam_deploy.verify.outputs import Judge
from simam_deploy.verify.rule import rule_for
from simam_deploy.verify.spread import Behaviour, measure_spread
from simam_deploy.verify.tolerance import SELECTED, TOLERANCES

COUNT = 8
DRAWS = 32
"""Of two, as an export has, no place's noise can be told from another's: sqrt(2 / DRAWS) of it."""
CASE = Drawn(("normal",), ((1, 3, 4, 4),))
ROWS = np.linspace(0.5, 1, COUNT, dtype=np.float32)[None, :]
SET, PLACES = Layout({"masks": Selection("t", "TopK", 1)}), Layout()


class Unsure:
    """Gives the rows, one of them moved up by `noise` and down by it in turns."""

    inputs = (TensorSpec("x", "float32", ("n", 3, 4, 4)),)

    def __init__(self, noise, row):
        self.noise, self.row = noise, row

    def run(self, feeds):
        self.noise = -self.noise
        return {"masks": moved(self.noise, self.row)}


def moved(by, row):
    rows = ROWS.copy()
    rows[:, row] += np.float32(by)
    return rows


def judged(layout, off, row, noise=0.0, noisy=0, given=None):
    """Judge rows, one of which is off, where rounding moves another or the same one."""
    outputs = {CASE: {"masks": ROWS}}
    draws = [Unsure(noise, noisy)] * DRAWS
    # In no order: rows this near each other could be paired otherwise.
    behaviour = Behaviour(outputs, measure_spread(outputs, draws, PLACES), layout)
    rule = rule_for("fp32", "fp32", given)
    return Judge(rule, behaviour, CASE, frozenset(), 1, {}).result("masks", ROWS, moved(off, row))


@pytest.mark.parametrize(("layout", "cap"), [(SET, 4e-3), (PLACES, 1e-3)])
def test_a_set_s_rows_have_a_cap_of_their_own(layout, cap):
    """Where rounding moves them by more than a sixteenth of it."""
    last = COUNT - 1
    assert judged(layout, 0.9 * cap, last, noise=1e-2, noisy=last).passed
    beyond = judged(layout, 1.1 * cap, last, noise=1e-2, noisy=last)
    assert not beyond.passed
    assert beyond.allowed == pytest.approx(cap, rel=1e-3)


def test_the_cap_alone_allows_nothing():
    """It ends what rounding makes of the rows; where that is little, the floor stands."""
    assert not judged(SET, 0.5 * SELECTED, 0).passed
    assert judged(SET, 0.5 * SELECTED, 0).allowed == pytest.approx(TOLERANCES["fp32"].floor)


def test_a_bound_that_a_user_gave_is_the_bound_of_sets_too():
    last = COUNT - 1
    for off, passed in ((0.9e-3, True), (1.1e-3, False)):
        one = judged(SET, off, last, noise=1e-2, noisy=last, given=1e-3)
        assert one.passed == passed


def test_what_rounding_makes_of_one_row_it_may_make_of_any():
    """Of a set; a place that did not move in any draw has a bound of its own elsewhere."""
    noise = 5e-5  # times 16 it is below both caps
    assert judged(SET, 12 * noise, 5, noise, noisy=2).passed
    assert not judged(SET, 20 * noise, 5, noise, noisy=2).passed
    assert judged(PLACES, 12 * noise, 2, noise, noisy=2).passed
    assert not judged(PLACES, 12 * noise, 5, noise, noisy=2).passed
