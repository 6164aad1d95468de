"""Refresh every table of results/ that can be made on this machine, the cheapest first.

    scripts/bench/run_all [--list] [--only NAME ...] [--again] [--other CHECKOUT]

A bench writes beside, and its table takes the old one's place once it is whole. What was made at
this commit is not made again: a run that was stopped goes on where it was; --again forgets that.
What cannot be made here is skipped, with the reason. Afterwards `figures.py` writes the documents'
figures anew. Leave the machine alone meanwhile: the figures are ratios within a run, and still.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu.parts import tables

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts" / "bench"
RESULTS = SCRIPTS / "results"
WORK = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Bench:
    """A script that measures.

    Attributes:
        name: Its file, without the suffix.
        minutes: What it takes on two cores, roughly: they are run in this order.
        needs: What it cannot be run without, of `NEEDS`.
        arguments: What it is given; {other} is another checkout, {mask_rcnn} and {faster_rcnn} are
            whole detectors as .onnx files.
        tables: What it writes; by default one named as it is. Several lie in one folder.
        codes: Exit codes of a run whose tables are whole.
    """

    name: str
    minutes: float
    needs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)

    @property
    def written(self) -> tuple[str, ...]:
        """Name the tables."""
        return self.tables or (self.name,)


_GPU = tuple(f"gpu/{name}" for name in tables())
_SKIPPED = 3
"""gpu_all's exit code where something could not be shown, and the rest is right."""
BENCHES = (
    Bench("calibration", 1),
    Bench("liveness", 1.5),
    Bench("int8_detector", 2),
    Bench("planes", 2),
    Bench("candidate_cost", 4, ("rtx",)),
    Bench("detector_cost", 4, ("ultralytics",)),
    Bench("serving_versions", 2, ("other",), ("{other}",)),
    Bench("serving", 5),
    Bench("operators", 6, ("operators",)),
    Bench("export_cost", 7),
    Bench("endurance", 8),
    Bench("detector_plans", 8, ("rtx", "plugin"), ("{faster_rcnn}", "{mask_rcnn}")),
    Bench("detector_cpu", 10, (), ("{mask_rcnn}",)),
    Bench("plugin_launches", 10, ("rtx", "plugin")),
    Bench("validation_cost", 12, ("other",), ("{other}",)),
    Bench("engine_build", 15, ("rtx",)),
    Bench("gpu_all", 25, ("gpu", "nvcc", "rtx"), (), _GPU, (0, _SKIPPED)),
    Bench("auto", 25, ("rtx",)),
    Bench("quantised", 25, ("rtx",)),
    Bench("paying", 25, ("rtx",)),
    Bench("bench_agreement", 25),
    Bench("own_networks", 25),
    Bench("rows", 30, ("rtx",)),
    Bench("lowerings", 30),
    Bench("launches", 60, ("rtx",)),
    Bench("faults", 60),
    Bench("attention", 120),
    Bench("networks", 240, (), (), ("bench",)),
)
"""All that write tables. load_clients prints, and asks no code of ours."""


def _module(name: str, what: str) -> Callable[[], str]:
    return lambda: "" if importlib.util.find_spec(name) else f"needs {what}, which is missing"


def _gpu() -> str:
    from simam_deploy.runtime.gpu import find_gpus

    return "" if find_gpus().devices else "needs an NVIDIA GPU, and there is none"


def _plugin() -> str:
    from simam_deploy.op.find import find_plugin

    found = find_plugin("tensorrt_rtx")
    return "" if found else "needs the plugin for TensorRT-RTX: scripts/build_plugin makes it"


def _operators() -> str:
    from simam_deploy.op.find import find_operators

    missing = "needs the operators: scripts/build_plugin --onnxruntime-include DIR makes them"
    return "" if find_operators() else missing


NEEDS: Mapping[str, Callable[[], str]] = {
    "gpu": _gpu,
    "nvcc": lambda: "" if shutil.which("nvcc") else "needs nvcc, which is not on the PATH",
    "operators": _operators,
    "plugin": _plugin,
    "rtx": _module("tensorrt_rtx", "TensorRT-RTX"),
    "ultralytics": _module("ultralytics", "ultralytics"),
}
"""Why a bench cannot be run here, "" where it can; `other` is up to the command line."""


def missing(bench: Bench, other: Path | None) -> str:
    """Say why a bench cannot be run here; "" where it can."""
    if "other" in bench.needs and other is None:
        return "compares with another checkout: name it by --other"
    return next(filter(None, (NEEDS[need]() for need in bench.needs if need in NEEDS)), "")


def run(bench: Bench, other: Path | None, commit: str) -> bool:
    """Run a bench and put its tables in their places; False where it failed.

    One that goes on where it was stopped finds what it wrote at this commit.
    """
    out = WORK / commit / bench.name
    out.mkdir(parents=True, exist_ok=True)
    words = [word.format_map(_Places(other)) for word in bench.arguments]
    first = out / f"{bench.written[0]}.csv"
    where = ("--out", first.parent) if len(bench.written) > 1 else ("--csv", first)
    command = [sys.executable, SCRIPTS / f"{bench.name}.py", *words, *where]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(list(map(str, command)), env={**os.environ, "PYTHONPATH": paths})
    made = [(out / f"{table}.csv", RESULTS / f"{table}.csv") for table in bench.written]
    if done.returncode not in bench.codes or not all(table.is_file() for table, _ in made):
        return False
    for table, place in made:
        place.parent.mkdir(exist_ok=True)
        table.replace(place)
    return True


class _Places(dict[str, str]):
    """What stands for the words in braces; detectors are made when they are asked for."""

    def __init__(self, other: Path | None) -> None:
        super().__init__(other=str(other))

    def __missing__(self, kind: str) -> str:
        file = WORK / f"{kind}_resnet50.onnx"
        if not file.is_file():
            _export_detector(kind, file)
        return str(file)


def _export_detector(kind: str, file: Path) -> None:
    """Export a whole detector of drawn weights, its sides free."""
    import torch

    from simam_deploy import NetworkOptions, export_onnx
    from tests.golden.detectors import golden_detector

    checkpoint = file.with_suffix(".pth")
    torch.save({"state_dict": golden_detector(f"{kind}_r50").state_dict}, checkpoint)
    export_onnx(checkpoint, file, network=NetworkOptions(input_shape=(3, 256, 320), dynamic="hw"))


class Done:
    """Which benches were run at this commit, on file."""

    def __init__(self, again: bool) -> None:
        self._file = WORK / "done.json"
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True
        )
        self.commit = head.stdout.strip()
        known = self._file.is_file() and not again
        self._all: dict[str, str] = json.loads(self._file.read_text()) if known else {}

    def __contains__(self, bench: Bench) -> bool:
        return self._all.get(bench.name) == self.commit

    def add(self, bench: Bench) -> None:
        """Note that one was run."""
        self._all[bench.name] = self.commit
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._all))


def run_all(benches: Sequence[Bench], other: Path | None, again: bool) -> list[str]:
    """Run what can be run here; gives the names of those that failed."""
    done, failed = Done(again), []
    for bench in sorted(benches, key=lambda bench: bench.minutes):
        if bench in done:
            print(f"{bench.name}: made at this commit already")
        elif reason := missing(bench, other):
            print(f"{bench.name}: skipped: {reason}")
        else:
            print(f"{bench.name}: some {bench.minutes:g} minutes ...", flush=True)
            if run(bench, other, done.commit):
                done.add(bench)
            else:
                failed.append(bench.name)
                print(f"{bench.name}: FAILED; its tables are those of before")
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [bench.name for bench in BENCHES]
    parser.add_argument("--list", action="store_true", help="say what would be run, and stop")
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--again", action="store_true", help="those that were made already too")
    parser.add_argument("--other", type=Path, help="another checkout, for validation_cost")
    args = parser.parse_args()
    chosen = [bench for bench in BENCHES if bench.name in args.only]
    if args.list:
        for bench in sorted(chosen, key=lambda bench: bench.minutes):
            reason = missing(bench, args.other)
            print(f"{bench.name:16} {bench.minutes:4g} min  {reason or ', '.join(bench.written)}")
        return
    failed = run_all(chosen, args.other, args.again)
    subprocess.run([sys.executable, str(SCRIPTS / "figures.py")], check=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
