"""What the tables share."""

import pytest

from simam_deploy.report.columns import size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [(320, "0.3 kB"), (42_348, "42.3 kB"), (100_000, "0.1 MB"), (9_333_220, "9.3 MB")],
)
def test_a_size_is_never_nothing_of_its_unit(size, text):
    assert size_text(size) == text
