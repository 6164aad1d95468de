"""The stand-ins that the engines' tests use."""

from tests.engine.conftest import cache, fakes, gpu

__all__ = ["cache", "fakes", "gpu"]
