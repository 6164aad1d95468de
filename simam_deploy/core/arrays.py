"""Arrays, and arrays by name: what runners take and give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
"""An array by input, or output, name."""
