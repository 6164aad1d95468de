"""Fixtures that several rooms' tests share."""

from pathlib import Path

import pytest

from tests.engine.conftest import fakes, gpu

__all__ = ["fakes", "gpu"]

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="session")
def digits() -> Path:
    """The trained digits checkpoint that the repository ships."""
    (path,) = EXAMPLES.glob("digits-*/model_best.pth.tar")
    return path
