"""What the default run leaves to the slow one."""

from collections.abc import Iterable

import pytest


def slow(values: Iterable[object]) -> list[object]:
    """Give parameters that only `-m slow` runs."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def slow_but(quick: Iterable[object], values: Iterable[object]) -> list[object]:
    """Give parameters of which only those of `quick` run by default."""
    kept = list(quick)
    return [value if value in kept else slow([value])[0] for value in values]
