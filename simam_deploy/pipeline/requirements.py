"""What is installed, held against what this package says that it needs.

The versions stand in its own metadata, which are pyproject.toml's: there is no second table.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_OURS = "simam-deploy"
_DOUBLED = ("onnxruntime", "onnxruntime-gpu")
"""Both bring the package onnxruntime: which of them is imported is chance."""


@dataclass(frozen=True)
class Unmet:
    """A requirement that is not met: of which package, what was found, and what to do."""

    name: str
    found: str
    advice: str


def unmet() -> Iterator[Unmet]:
    """Give what is missing, too old or too new, or there twice; an extra's may be missing."""
    from packaging.requirements import Requirement

    try:
        stated = importlib.metadata.requires(_OURS) or []
    except importlib.metadata.PackageNotFoundError:
        return  # run from a folder that is not installed: nothing says what it needs
    for requirement in map(Requirement, stated):
        yield from _unmet(requirement)
    there = [version for name in _DOUBLED if (version := _version(name))]
    if len(there) == len(_DOUBLED):
        found = f"{' and '.join(_DOUBLED)} are both installed"
        yield Unmet("onnxruntime", found, f"pip uninstall {' '.join(_DOUBLED)}, then install one")


def _unmet(requirement: Requirement) -> Iterator[Unmet]:
    marker = requirement.marker
    always = marker is None or marker.evaluate({"extra": ""})
    version = _version(requirement.name)
    wanted = f"'{requirement.name}{requirement.specifier}'"
    if version is None and always:
        yield Unmet(requirement.name, "not installed", f"pip install {wanted}")
    asked = marker is None or any(marker.evaluate({"extra": e}) for e in ("", *_extras()))
    if version and asked and not requirement.specifier.contains(version, prereleases=True):
        found = f"{version} is installed, {requirement.specifier} is wanted"
        yield Unmet(requirement.name, found, f"pip install {wanted}")


def _extras() -> list[str]:
    """Name the extras whose versions a user's environment should have: not tensorrt's two."""
    named = importlib.metadata.metadata(_OURS).get_all("Provides-Extra") or []
    return [extra for extra in named if not extra.startswith("tensorrt") and extra != "dev"]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
