"""Checkpoints as they are written for the tests of checkpoints."""

from tests.source.checkpoint.conftest import forge, save, weights

__all__ = ["forge", "save", "weights"]
