"""All that wants a GPU, in one command: builds engines here, runs them, and writes what it finds.

Of every network and precision, for each flavour that is installed:

    taken      whether this GPU takes an engine built for the library's default targets, for the
               GPU itself ("current"), and, with TensorRT-RTX, for sm80 to sm120; in the library's
               words where it does not. (No RTX target is sm90: whether a Hopper takes one is open.)
    error      the worst difference from ONNX Runtime on the CPU, over its tolerance
    latency    milliseconds, median and percentiles, CUDA graph on and off; without copies
    memory     growth on the device and in the process from the 1,000th to the last of --runs runs
    threads    whether two threads, on one runner and on forks of it, get the right results
    profiles   whether results stay right while runs switch between two profiles

    python scripts/bench/engine_gpu.py [--runs 10000] [--csv scripts/bench/results/engine_gpu.csv]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import statistics
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from simam_deploy.core.arrays import Feeds
from simam_deploy.engine.flavours.choose import FLAVOURS, Flavour, installed
from simam_deploy.engine.options import EngineOptions
from simam_deploy.engine.run.cuda import require_gpu
from simam_deploy.engine.run.runner import TensorRTRunner
from simam_deploy.errors import EngineError, SimamError
from simam_deploy.pipeline.build import build
from simam_deploy.runtime.gpu import find_gpus
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.verify.outputs import moved
from simam_deploy.verify.tolerance import TOLERANCES

COLUMNS = ("date", "gpu", "cuda", "library", "network", "precision", "targets", "what", "value")
NETWORKS = ("resnet50", "mobilenet_v2", "wespeaker_simam_resnet34_asp")
AHEAD = ("sm80", "sm86", "sm89", "sm120")
PERCENTILES = (50, 90, 99)
SETTLED = 1000
"""Runs after which memory has to stay as it is."""
Found = tuple[str, object]


def examine(onnx: Path, flavour: Flavour, precision: str, folder: Path, runs: int) -> Iterator[
    tuple[str, Found]
]:  # fmt: skip
    """Build for each kind of target; measure the first engine that this GPU takes."""
    measured = False
    choices = [(), ("current",), *([AHEAD] if flavour.builds_ahead else [])]
    for targets in choices:
        name = " ".join(targets) or "default"
        try:
            plan = build_two_profiles(onnx, flavour, precision, targets, folder)
            with TensorRTRunner(plan, trust=True) as runner:
                yield name, ("taken", "yes")
                if not measured:
                    for found in measure(runner, plan, onnx, precision, runs):
                        yield name, found
                measured = True
        except SimamError as error:
            yield name, ("taken", f"no: {error}")


def build_two_profiles(
    onnx: Path, flavour: Flavour, precision: str, targets: tuple[str, ...], folder: Path
) -> Path:
    """Build with a profile for single inputs and one for batches, where the batch is free."""
    with OnnxRunner(onnx) as runner:
        (spec,) = runner.inputs
    sizes = [d if isinstance(d, int) else 300 for d in spec.shape]
    batches = [{spec.name: (n, *sizes[1:])} for n in ((1, 8) if spec.shape[0] != 1 else (1,))]
    free = any(isinstance(d, str) for d in spec.shape)
    options = EngineOptions(
        precision=precision, backend=flavour.backend, targets=targets, cache=False,
        opt_shapes=tuple(batches) if free else (),
    )  # fmt: skip
    return build(onnx, folder / f"{onnx.stem}.engine", options).path


def measure(
    runner: TensorRTRunner, plan: Path, onnx: Path, precision: str, runs: int
) -> Iterator[Found]:
    shapes = [{r.name: r.opt for r in profile} for profile in runner.profiles]
    cases = [feeds(runner, shape, seed) for seed, shape in enumerate(shapes)]
    with OnnxRunner(onnx) as reference:
        expected = [reference.run(case) for case in cases]
    yield "error", worst(runner, cases, expected)
    yield "error allowed at most", TOLERANCES[precision].cap
    for graph in (True, False):
        with TensorRTRunner(plan, trust=True, cuda_graph=graph) as own:
            times = own.latencies(shapes[0], runs=max(10, runs // 10))
        for percentile in PERCENTILES:
            state = "on" if graph else "off"
            value = statistics.quantiles(times, n=100)[percentile - 1]
            yield f"ms at {percentile} %, CUDA graph {state}", round(value, 4)
    yield from growth(runner, cases[0], runs)
    yield "two threads", threads(runner, cases)
    yield "profile switch", switches(runner, cases)


def feeds(runner: TensorRTRunner, shapes: dict[str, tuple[int, ...]], seed: int) -> Feeds:
    rng = np.random.default_rng(seed)
    return {s.name: rng.standard_normal(shapes[s.name]).astype(s.dtype) for s in runner.inputs}


def worst(runner: TensorRTRunner, cases: list, expected: list) -> float:
    """Give the largest difference over the reference's largest value, of all outputs."""
    return max(
        moved(want[name], got)
        for case, want in zip(cases, expected, strict=True)
        for name, got in runner.run(case).items()
    )


def growth(runner: TensorRTRunner, case: dict, runs: int) -> Iterator[Found]:
    for number in range(runs):
        if number == min(SETTLED, runs // 2):
            device, process = used_memory()
        runner.run(case)
    device_after, process_after = used_memory()
    yield f"device bytes grown in {runs} runs", device_after - device
    yield f"process bytes grown in {runs} runs", process_after - process


def used_memory() -> tuple[int, int]:
    """Give bytes used on the device by everybody, and this process's resident bytes."""
    from cuda.bindings import runtime

    _, free, total = runtime.cudaMemGetInfo()
    status = Path("/proc/self/status").read_text()
    (resident,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return total - free, int(resident) << 10


def threads(runner: TensorRTRunner, cases: list, rounds: int = 50) -> str:
    """Have two threads use one runner, then one fork each; results must be the same bits."""
    expected = [runner.run(case) for case in cases]
    wrong: list[str] = []

    def work(own: TensorRTRunner) -> None:
        for _ in range(rounds):
            for case, want in zip(cases, expected, strict=True):
                got = own.run(case)
                wrong.extend(n for n in want if not np.array_equal(want[n], got[n]))

    with runner.fork() as one, runner.fork() as other:
        for pair in ((runner, runner), (one, other)):
            workers = [threading.Thread(target=work, args=(own,)) for own in pair]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
    return f"{len(wrong)} results of {4 * rounds * len(cases)} differ"


def switches(runner: TensorRTRunner, cases: list, rounds: int = 50) -> str:
    """Alternate between the profiles; results must be the same bits."""
    expected = [runner.run(case) for case in cases]
    differ = 0
    for _ in range(rounds):
        for case, want in zip(cases, expected, strict=True):
            differ += any(not np.array_equal(want[n], a) for n, a in runner.run(case).items())
    return f"{differ} results of {rounds * len(cases)} differ, {len(cases)} profiles"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--onnx", type=Path, nargs="*", help="files instead of drawn networks")
    parser.add_argument("--precision", nargs="*", default=["fp32", "fp16"])
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    try:
        require_gpu()
    except EngineError as error:
        raise SystemExit(str(error)) from None
    with tempfile.TemporaryDirectory() as folder:
        rows = list(all_rows(args, Path(folder)))
    if args.csv:
        with args.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def all_rows(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    gpus = find_gpus()
    for onnx in args.onnx or drawn_networks(folder):
        for flavour in filter(installed, FLAVOURS.values()):
            for precision in args.precision:
                for targets, (what, value) in examine(onnx, flavour, precision, folder, args.runs):
                    row = {
                        "date": datetime.date.today().isoformat(),
                        "gpu": gpus.devices[0].name,
                        "cuda": gpus.cuda,
                        "library": flavour.name,
                        "network": onnx.stem,
                        "precision": precision,
                        "targets": targets,
                        "what": what,
                        "value": value,
                    }
                    print(*list(row.values())[3:], flush=True)
                    yield row


def drawn_networks(folder: Path) -> Iterator[Path]:
    from engine_build import write_network

    for name in NETWORKS:
        yield write_network(name, True, folder)


if __name__ == "__main__":
    main()
