"""What the scripts that measure on a GPU share: finding one, timing on it, writing rows."""

from __future__ import annotations

import csv
import datetime
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

from simam_deploy.errors import InputError

Given = TypeVar("Given")
Row = dict[str, str]


def require_gpu() -> None:
    """Check that there is something to measure on.

    Raises:
        InputError: There is no CUDA device, or PyTorch is built without CUDA.
    """
    if not torch.cuda.is_available():
        raise InputError(
            f"no CUDA GPU is seen by PyTorch {torch.__version__}: run this where nvidia-smi shows "
            "one, with a CUDA build of PyTorch and nvcc"
        )


def require_nvcc() -> str:
    """Find nvcc.

    Raises:
        InputError: It is neither on the PATH nor in /usr/local/cuda.
    """
    found = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if found is None:
        raise InputError("nvcc is neither on the PATH nor in /usr/local/cuda/bin: install CUDA")
    return found


def capture(run: Callable[[Given], object], sets: list[Given]) -> torch.cuda.CUDAGraph:
    """Capture one launch on each set; each result has memory of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run(sets[0])
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    kept = []
    with torch.cuda.graph(graph):
        for given in sets:
            kept.append(run(given))
    return graph


def turn(graph: torch.cuda.CUDAGraph, launches: int) -> float:
    """Give the microseconds of one launch in 20 ms or so of replays."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    replays = 1
    while True:
        start.record()
        for _ in range(replays):
            graph.replay()
        end.record()
        end.synchronize()
        if start.elapsed_time(end) > 20 or replays >= 1024:
            return float(start.elapsed_time(end)) * 1e3 / (replays * launches)
        replays *= 2


def write(path: Path, columns: tuple[str, ...], rows: Iterator[Row]) -> list[Row]:
    """Print rows as they come and write them, so that a run that is cut short leaves its rows."""
    stamp = {"date": str(datetime.date.today()), "gpu": torch.cuda.get_device_name()}
    written = []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            print(*row.values(), sep="  ", flush=True)
            writer.writerow({**stamp, **row})
            file.flush()
            written.append(row)
    return written
