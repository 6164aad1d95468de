"""What the outputs would have shown, in words."""

import pytest

from simam_deploy.core.validation import Seen
from simam_deploy.report.power_text import _units


@pytest.mark.parametrize(
    ("units", "words"),
    [
        (0.574, "0.57 times the bound, not seen"),
        (12.4, "12 times the bound, seen"),
        (float("inf"), "more than a bound of 0, seen"),
    ],
)
def test_units_of_a_bound(units, words):
    assert _units(Seen(units)) == words
