"""A function of the user's own that makes a network."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from torch import nn

from simam_deploy.errors import InputError, UsageError


def call_factory(reference: str) -> nn.Module:
    """Import and call a factory, "file.py:factory" or "package.module:factory".

    Raises:
        InputError: It cannot be found, fails, or returns something else than an nn.Module.
        UsageError: The reference names no factory.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise UsageError(
            f"a network is named file.py:factory or package.module:factory, got {reference}",
            options=("model",),
        )
    try:
        factory = getattr(_import(place), name)
        model = factory()
    except Exception as error:  # the user's own code may raise anything
        raise InputError(f"{reference} failed: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{reference} returned a {type(model).__name__}, no nn.Module")
    return model


def _import(place: str) -> Any:
    """Import a file, whose folder its own imports are found in, or an installed module."""
    if not place.endswith(".py"):
        return importlib.import_module(place)
    path = Path(place).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"no such file: {place}")
    sys.path.insert(0, str(path.parent))
    try:
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module
