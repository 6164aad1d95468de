"""Microseconds a launch, and per cent of a copy of the same size in the same run.

Each contender's launches are captured in a CUDA graph, over inputs that rotate through more than
four times the L2 cache; contenders take turns in every round, and the figure is the median over
rounds. The faster of the two copies is the copy.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from gpu.compiled import kernel_library, missing_nvcc
from gpu.setting import Setting
from gpu.sites import EPILOGUES, Given, draw, instance_norm, ours, plain, shape_of
from gpu.table import Cell, Row
from gpu.timing import medians
from simam_deploy.op.torch.library import VARIABLE

SHAPES = (
    ("32x256x56x56", ("nchw", "nhwc")),
    ("64x2048x7x7", ("nchw", "nhwc")),
    ("32x1024x14x14", ("nchw", "nhwc")),
    ("32x512x28x28", ("nchw", "nhwc")),
    ("1x256x56x56", ("nchw", "nhwc")),
    ("8x64x200x334", ("nchw",)),
    ("1x64x112x112", ("nchw",)),
)
ROUNDS = 9
COPIES = ("memcpy", "copy kernel")
_DRY_CELL = ("1x8x5x5", "float32", "nchw", "affine")
_DRY_ROUNDS = 2


def missing(setting: Setting) -> str:
    """Ask for nvcc."""
    return "" if setting.dry else missing_nvcc()


def cells(setting: Setting) -> Iterable[Cell]:
    """Give shape, dtype, layout and epilogue: SimAM alone at every shape before the rest."""
    if setting.dry:
        yield _DRY_CELL
        return
    for epilogue in EPILOGUES:
        for shape, layouts in SHAPES:
            yield from ((shape, "float16", layout, epilogue) for layout in layouts)
    largest, layouts = SHAPES[0]
    for dtype, layout in itertools.product(("bfloat16", "float32"), layouts):
        yield largest, dtype, layout, "none"


def measure(cell: Cell, setting: Setting) -> Iterable[Row]:
    """Time the contenders."""
    shape, dtype, layout, epilogue = cell
    if not setting.dry:
        os.environ[VARIABLE] = str(kernel_library(setting))
    torch._dynamo.reset()
    given = draw(shape_of(shape), dtype, layout, setting)
    size = given.x.numel() * given.x.element_size()
    moved = size * (3 if epilogue == "residual" else 2)
    count = 2 if setting.dry else 2 + 4 * _cache() // moved
    sets = [given, *(draw(shape_of(shape), dtype, layout, setting) for _ in range(count - 1))]
    rounds = _DRY_ROUNDS if setting.dry else ROUNDS
    times = medians(contenders(epilogue, setting), sets, rounds, setting)
    fastest_copy = 2 * size / min(times[name] for name in COPIES)
    for name, microseconds in times.items():
        rate = (2 * size if name in COPIES else moved) / microseconds
        yield {
            "contender": name,
            "microseconds": f"{microseconds:.2f}",
            "gigabytes_per_second": f"{rate / 1e3:.0f}",
            "per_cent_of_copy": f"{100 * rate / fastest_copy:.1f}",
        }


def _cache() -> int:
    """Bytes of the GPU's L2."""
    return int(torch.cuda.get_device_properties(0).L2_cache_size)


def contenders(epilogue: str, setting: Setting) -> dict[str, Callable[[Given], Tensor]]:
    """Give what is timed, by name."""
    # Dry, the graph is taken and called as it is: to compile it for the host tells nothing.
    compiled = partial(torch.compile, dynamic=False, backend="eager" if setting.dry else "inductor")
    return {
        "memcpy": lambda given: given.x.clone(),
        "copy kernel": lambda given: given.x * 1,
        "ours": ours(epilogue),
        "eager": plain(epilogue),
        "compiled": compiled(plain(epilogue)),
        "instance_norm": instance_norm(epilogue),
        "instance_norm compiled": compiled(instance_norm(epilogue)),
    }
