"""Numbers, sizes and names as people write them: as values, or as text."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeGuard

from simam_deploy.core.facts import LARGEST_SIDE
from simam_deploy.core.labels import is_name
from simam_deploy.source.samples.preparation import CHANNELS
from simam_deploy.source.stated.text import read_text

MOST_NAMES = 1 << 16
"""ImageNet-21k has 21,841 classes."""
_LONGEST_NAME = 256
_LARGEST_LEVEL = 1e6
"""Of what a pixel of 0 to 255 is moved or divided by."""

if TYPE_CHECKING:
    from torch import Tensor


def number(value: object) -> float | None:
    """Read a finite number: a value, a text, or a tensor of one."""
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, (str, int, float)) or _is_tensor(value):
            found = float(value)
            return found if math.isfinite(found) else None
    except (ValueError, OverflowError, RuntimeError):  # RuntimeError: a tensor of many values
        pass
    return None


def numbers(value: object, most: int = 16) -> list[float] | None:
    """Read a list of at most `most` finite numbers."""
    if isinstance(value, str):
        value = read_text(value)
    if _is_tensor(value) and value.numel() <= most:
        value = value.flatten().tolist() if value.device.type != "meta" else None
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= most:
        return None
    read = [number(item) for item in value]
    found = [item for item in read if item is not None]
    return found if len(found) == len(read) else None


def _is_tensor(value: object) -> TypeGuard[Tensor]:
    """Tell a tensor, which is there only where torch is loaded: 2 s, to read an .onnx without."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def flag(value: object) -> bool:
    """Read a switch; YAML's are texts."""
    return value is True or (isinstance(value, str) and value.lower() == "true")


def side(value: object) -> int | None:
    """Read a count of pixels, 1 to `LARGEST_SIDE`."""
    found = number(value)
    return int(found) if found and 1 <= found <= LARGEST_SIDE and found % 1 == 0 else None


def sides(value: object) -> tuple[int, int] | None:
    """Read two counts of pixels in their order; one count stands for both."""
    pair = [value, value] if number(value) is not None else numbers(value) or []
    if len(pair) == 1:
        pair *= 2
    a, b = map(side, pair) if len(pair) == 2 else (None, None)
    return (a, b) if a and b else None


def levels(mean: object, std: object, color: str) -> dict[str, object] | None:
    """Read what is subtracted of a pixel and what it is divided by, by channel.

    Their unit is told by their size: where none is over 1, pixels are first scaled to 0..1.

    Returns:
        The manifest's `color`, `scale`, `mean` and `std`.
    """
    means, stds = numbers(mean), numbers(std)
    if not means or not stds or len(means) != len(stds) or len(means) not in CHANNELS:
        return None
    if min(stds) <= 0 or max(map(abs, (*means, *stds))) > _LARGEST_LEVEL:
        return None
    scale = 1 / 255 if max(*means, *stds) <= 1 else 1.0
    return {"color": color, "scale": scale, "mean": means, "std": stds}


def names(value: object) -> tuple[str, ...] | None:
    """Read class names: a list, names by index, or indices by name."""
    if isinstance(value, str):
        value = read_text(value)
    if isinstance(value, Mapping):
        value = _in_order(value) if len(value) <= MOST_NAMES else None
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= MOST_NAMES:
        return None
    fit = all(is_name(name) and len(name) <= _LONGEST_NAME for name in value)
    return tuple(value) if fit else None


def _in_order(value: Mapping[object, object]) -> list[object] | None:
    """Lay names by their indices, which must be 0 to n - 1; those of text are numbers too."""
    items = list(value.items())
    if items and number(items[0][0]) is None:
        items = [(index, name) for name, index in items]
    by_index = {number(index): name for index, name in items}
    wanted = [float(index) for index in range(len(items))]
    return [by_index[index] for index in wanted] if set(wanted) == by_index.keys() else None
