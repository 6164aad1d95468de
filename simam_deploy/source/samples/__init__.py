"""Sample data: what calibration sees and what accuracy is measured on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simam_deploy.source.samples.boxes import Truth
    from simam_deploy.source.samples.dataset import Dataset, open_dataset
    from simam_deploy.source.samples.inputs import Batch

__all__ = ["Batch", "Dataset", "Truth", "open_dataset"]

_HOMES = {"Batch": "inputs", "Dataset": "dataset", "Truth": "boxes", "open_dataset": "dataset"}


def __getattr__(name: str) -> Any:
    """Import what is asked for: who prepares a single picture needs none of the data sets."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
