"""How files spell the keys of the SimAM authors' layout."""

from __future__ import annotations

import re
from dataclasses import dataclass

from simam_deploy.models.attention.kinds import KINDS, AttentionName

Rule = tuple[re.Pattern[str], str]

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
        shows_simam: Whether the names show where SimAM stands, in a network that has it.
        rules: (pattern, replacement) pairs, from the authors' names to these.
    """

    shows_simam: bool
    rules: tuple[Rule, ...]

    def respell(self, key: str) -> str:
        """Name the tensor that the authors' layout calls `key`."""
        for pattern, replacement in self.rules:
            key = pattern.sub(replacement, key)
        return key


OFFICIAL = Spelling(True, ())
PLAIN = Spelling(False, (_UNWRAPPED, _NORM_BACK))
TORCHVISION = Spelling(False, (_UNWRAPPED, _NORM_BACK, _DROPOUT))
_WITH_DROPOUT = Spelling(True, (_DROPOUT,))


def spellings(attention: AttentionName) -> tuple[Spelling, ...]:
    """List how the keys of a network with this attention may be spelt, the authors' way first."""
    if attention == "simam":
        return OFFICIAL, PLAIN, TORCHVISION
    attribute = KINDS[attention].attribute
    return OFFICIAL, _WITH_DROPOUT, *([] if attribute is None else [_beside(attribute)])


def _beside(attribute: str) -> Spelling:
    """Name a block's attention as an attribute beside its last batch norm, not one in a list."""
    norm = re.compile(r"^(layer\d\.\d+\.bn[23])\.0\.")
    module = re.compile(r"^(layer\d\.\d+)\.bn[23]\.1\.")
    return Spelling(True, ((norm, r"\1."), (module, rf"\1.{attribute}.")))
