"""The torch operators against float64, over shapes, dtypes, layouts and epilogues.

More than 65535 planes and more than 2^31 elements are among them. Dry, it is the operators' own
arithmetic on the host.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable

import torch

from gpu.compiled import kernel_library, missing_nvcc
from gpu.setting import Setting
from gpu.sites import EPILOGUES, LAYOUTS, TOLERANCES, draw, exact, ours, place, shape_of
from gpu.table import Cell, Row
from simam_deploy.op.torch import simam
from simam_deploy.op.torch.library import VARIABLE

SHAPES = (
    "64x2048x7x7",
    "8x1024x14x14",
    "4x515x28x28",
    "4x129x57x57",
    "2x64x112x112",
    "2x13x200x334",
    "1x3x1024x1024",
    "50x1400x9x9",  # 70,000 planes.
    "3x37x2x1",
)
HUGE = "700x1000x56x56"
"""2.2e9 elements: the last image alone is looked at."""
_LEAST = 2.0**-25
"""What may be lost below float16's smallest number."""


def missing(setting: Setting) -> str:
    """Ask for nvcc."""
    return "" if setting.dry else missing_nvcc()


def cells(setting: Setting) -> Iterable[Cell]:
    """Give shape, dtype, layout and epilogue."""
    shapes = SHAPES[-1:] if setting.dry else SHAPES
    yield from itertools.product(shapes, TOLERANCES, LAYOUTS, EPILOGUES)
    if not setting.dry:
        yield from itertools.product((HUGE,), ("float16",), LAYOUTS, ("none",))


def measure(cell: Cell, setting: Setting) -> Iterable[Row]:
    """Give the largest error over what it is of, where 1 or less of the tolerance is right."""
    shape, dtype, layout, epilogue = cell
    if not setting.dry:
        os.environ[VARIABLE] = str(kernel_library(setting))
    if shape == HUGE:
        excess = huge_excess(layout, setting)
    else:
        excess = excess_of(shape_of(shape), dtype, layout, epilogue, setting)
    error = f"{excess * TOLERANCES[dtype]:.2e}"
    right = "yes" if excess <= 1 else "no"
    yield {"error": error, "tolerance": f"{TOLERANCES[dtype]:.1e}", "right": right}


def excess_of(
    shape: tuple[int, ...], dtype: str, layout: str, epilogue: str, setting: Setting
) -> float:
    """Return the largest error over what is allowed; NaN where any result is."""
    given = draw(shape, dtype, layout, setting)
    z = ours(epilogue)(given).double()
    want, slack = exact(given, epilogue)
    allowed = TOLERANCES[dtype] * want.abs() + slack + _LEAST
    return float(((z - want).abs() / allowed).max())


def huge_excess(layout: str, setting: Setting) -> float:
    """Look at the last image of a tensor of more than 2^31 elements."""
    shape = shape_of(HUGE)
    last = draw((1, *shape[1:]), "float16", layout, setting)
    x = place(torch.zeros(shape, dtype=torch.float16, device=setting.device), layout)
    x[-1:] = last.x
    want, _ = exact(last, "none")
    z = simam(x)[-1:].double()
    return float(((z - want).abs() / (TOLERANCES["float16"] * want.abs() + _LEAST)).max())
