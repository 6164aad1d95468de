"""How files without a trace of SimAM spell the keys of the authors' layout."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The authors put SimAM behind a convolution: in a Sequential(conv2, SimAM), or between a
# MobileNetV2's depthwise convolution and its batch norm, which moves from index 1 to 2.
_UNWRAPPED = (re.compile(r"\.conv2\.0\.weight$"), ".conv2.weight")
_NORM_BACK = (re.compile(r"^(features\.\d+\.conv\.\d)\.2\."), r"\1.1.")
# torchvision's MobileNetV2 has a Dropout before the classifier, the authors' has none.
_DROPOUT = (re.compile(r"^classifier\.0\."), "classifier.1.")


@dataclass(frozen=True)
class Spelling:
    """One way to name the same tensors.

    Attributes:
        shows_simam: Whether the names show where SimAM stands.
        rules: (pattern, replacement) pairs, from the authors' names to these.
    """

    shows_simam: bool
    rules: tuple[tuple[re.Pattern[str], str], ...]

    def respell(self, key: str) -> str:
        """Name the tensor that the authors' layout calls `key`."""
        for pattern, replacement in self.rules:
            key = pattern.sub(replacement, key)
        return key


OFFICIAL = Spelling(True, ())
PLAIN = Spelling(False, (_UNWRAPPED, _NORM_BACK))
TORCHVISION = Spelling(False, (_UNWRAPPED, _NORM_BACK, _DROPOUT))
SPELLINGS = (OFFICIAL, PLAIN, TORCHVISION)
