"""A runner for long, by several threads, and from profile to profile.

Its rows:

device bytes grown, process bytes grown    from the 1,000th run to the last
two threads      how many results differ, on one runner and on forks of it
profile switch   how many differ while runs switch between two profiles
"""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from gpu.files import DOUBLE, File, flavours, missing_flavours, onnx_of
from gpu.held import feeds
from gpu.plans import shapes_of
from gpu.setting import Setting
from gpu.table import Cell, Row
from simam_deploy.core.arrays import Feeds
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.engine.options import EngineOptions
from simam_deploy.engine.run.runner import TensorRTRunner
from simam_deploy.pipeline.build import build

RUNS, DRY_RUNS = 5000, 40
SETTLED = 1000
"""Runs after which memory has to stay as it is."""
ROUNDS, DRY_ROUNDS = 50, 3


def missing(setting: Setting) -> str:
    """Ask for a library."""
    return missing_flavours()


def cells(setting: Setting) -> Iterable[Cell]:
    """Give network, precision and library."""
    if setting.dry:
        return [(DOUBLE, "fp32", "tensorrt")]
    return itertools.product(("mobilenet_v2",), ("fp16", "fp32"), flavours())


def measure(cell: Cell, setting: Setting) -> Iterator[Row]:
    """Build with a profile for single inputs and one for batches; use it."""
    network, precision, flavour = cell
    file = File(network, precision)
    shapes = shapes_of(file, setting)
    options = EngineOptions(
        backend=FLAVOURS[flavour].backend, cache=False, opt_shapes=tuple(shapes)
    )
    rounds = DRY_ROUNDS if setting.dry else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        plan = build(onnx_of(file, setting), Path(folder) / "two.engine", options).path
        with TensorRTRunner(plan, trust=True) as runner:
            cases = [feeds(runner.inputs, shape, seed) for seed, shape in enumerate(shapes)]
            yield from growth(runner, cases[0], DRY_RUNS if setting.dry else RUNS)
            yield none_differs("two threads", threads(runner, cases, rounds))
            yield none_differs("profile switch", switches(runner, cases, rounds))
            yield {"what": "profiles", "value": len(runner.profiles)}


def none_differs(what: str, counted: tuple[int, int]) -> Row:
    """Give the row of a count of differing results."""
    differ, of = counted
    right = "no" if differ else "yes"
    return {"what": what, "value": f"{differ} of {of} results differ", "right": right}


def growth(runner: TensorRTRunner, case: Feeds, runs: int) -> Iterator[Row]:
    """Run one input for long; the device's memory may not grow."""
    for number in range(runs):
        if number == min(SETTLED, runs // 2):
            device, process = used_memory()
        runner.run(case)
    device_after, process_after = used_memory()
    grown = device_after - device
    right = "yes" if grown <= 0 else "no"
    yield {"what": f"device bytes grown in {runs} runs", "value": grown, "right": right}
    yield {"what": f"process bytes grown in {runs} runs", "value": process_after - process}


def used_memory() -> tuple[int, int]:
    """Give bytes used on the device by everybody, and this process's resident bytes."""
    from cuda.bindings import runtime

    _, free, total = runtime.cudaMemGetInfo()
    status = Path("/proc/self/status").read_text()
    (resident,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return total - free, int(resident) << 10


def threads(runner: TensorRTRunner, cases: Sequence[Feeds], rounds: int) -> tuple[int, int]:
    """Have two threads use one runner, then one fork each; results must be the same bits.

    Returns:
        How many differ, of how many.
    """
    expected = [runner.run(case) for case in cases]
    differ: list[bool] = []

    def work(own: TensorRTRunner) -> None:
        for _ in range(rounds):
            for case, want in zip(cases, expected, strict=True):
                got = own.run(case)
                differ.append(any(not np.array_equal(want[n], got[n]) for n in want))

    with runner.fork() as one, runner.fork() as other:
        for pair in ((runner, runner), (one, other)):
            workers = [threading.Thread(target=work, args=(own,)) for own in pair]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
    # A thread that an error ended has given fewer results than it was to.
    of = 4 * rounds * len(cases)
    return sum(differ) + of - len(differ), of


def switches(runner: TensorRTRunner, cases: Sequence[Feeds], rounds: int) -> tuple[int, int]:
    """Alternate between the profiles; results must be the same bits.

    Returns:
        How many differ, of how many.
    """
    expected = [runner.run(case) for case in cases]
    differ = 0
    for _ in range(rounds):
        for case, want in zip(cases, expected, strict=True):
            differ += any(not np.array_equal(want[n], a) for n, a in runner.run(case).items())
    return differ, rounds * len(cases)
