"""A detector's settings, laid together from all parts of a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields

from simam_deploy.errors import InputError
from simam_deploy.models.detectors.settings import DetectorSettings
from simam_deploy.source.stated.detector.fixed import (
    ONLY,
    ONLY_IN_TESTS,
    refuse_others,
    refuse_softmax,
)
from simam_deploy.source.stated.detector.heads import Entry, read_heads, read_sizes
from simam_deploy.source.stated.detector.part import Part, worded
from simam_deploy.source.stated.detector.testing import find_testing, read_testing
from simam_deploy.source.stated.fields import Held
from simam_deploy.source.stated.record import Said


@dataclass(frozen=True)
class Claim:
    """What is said of a size that the weights show too.

    Attributes:
        value: A number, or True or False.
        where: The place.
    """

    value: int
    where: str = field(compare=False)


@dataclass(frozen=True)
class StatedDetector:
    """What one configuration says of a detector; the same of two places is the same.

    Attributes:
        settings: What was said, else the published values.
        claims: By name, as `detector.check` has them, what is said of sizes.
        places: By setting, where it was said; the others are assumed.
    """

    settings: DetectorSettings = field(default_factory=DetectorSettings)
    claims: Mapping[str, Claim] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def assumed(self) -> tuple[str, ...]:
        """Name the settings that nobody says."""
        return tuple(f.name for f in fields(DetectorSettings) if f.name not in self.places)

    def said(self) -> Iterator[str]:
        """Word it for a manifest's notes: a line for each that is not as published."""
        published = DetectorSettings()
        for name, place in self.places.items():
            if (value := getattr(self.settings, name)) != getattr(published, name):
                yield f"{name} {_worded(value)}, {place}"
        if self.assumed:
            values = ", ".join(f"{n} {_worded(getattr(published, n))}" for n in self.assumed)
            yield f"assumed of the detector, as published: {values}"


def read_detector(config: Held) -> StatedDetector:
    """Read a configuration of mmdetection, version 2 or 3.

    Raises:
        InputError: It says what a detector here cannot do, or something that is no setting; one
            line that names the setting, its value and its place.
    """
    whole = Part(config.values, config.path)
    model, tests = whole.part("model"), find_testing(whole)
    refuse_others(model, ONLY)
    refuse_softmax(model.part("rpn_head"))
    refuse_others(tests, ONLY_IN_TESTS)
    found = _said((*read_heads(model), *read_testing(tests)))
    for name, one in found.items():
        _hold(name, one)
    return StatedDetector(
        settings=DetectorSettings(**{name: one.value for name, one in found.items()}),
        claims={n: Claim(one.value, one.where) for n, one in _said(read_sizes(model)).items()},
        places={name: one.where for name, one in found.items()},
    )


def _said(entries: Iterable[Entry]) -> dict[str, Said]:
    return {name: one for name, one in entries if one is not None}


def _hold(name: str, said: Said) -> None:
    """See to it that a detector can compute with a value.

    Raises:
        InputError: It cannot; with the place.
    """
    try:
        DetectorSettings(**{name: said.value})
    except InputError as error:
        raise error.reworded(f"{error}, {said.where}") from None


def _worded(value: object) -> str:
    return worded(list(value) if isinstance(value, tuple) else value)
