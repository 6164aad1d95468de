"""Everything that a GPU must show, in one command: what tells most first, a part after the other.

    scripts/bench/gpu_all [--minutes 25] [--out FOLDER]    show it, on this GPU
    scripts/bench/gpu_all --list                           name the parts
    scripts/bench/gpu_all --dry-run                        try it all as far as the host can
    scripts/bench/gpu_all --pack FOLDER [--python 3.12]    for a machine that can load nothing
    scripts/bench/gpu_all --unpack FOLDER                  there, before the first run

A part is a process of its own, which is ended at its limit; rows are written as they come, each
with the day, the GPU, its driver and the versions. A run that was cut goes on where it was; --again
forgets what was shown. What was expected stands in predictions.md.

Exit code: 0 all was shown and is right, 1 something is wrong, failed or was cut, 2 there is no GPU
or the command is wrong, 3 something was skipped and the rest is right, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[2]
PATHS = (str(ROOT), str(Path(__file__).parent))
sys.path[:0] = PATHS

from gpu.conduct import CUT, FAILING, SKIP, WRONG, Outcome, conduct  # noqa: E402
from gpu.facts import stamp  # noqa: E402
from gpu.part import Part, Run  # noqa: E402
from gpu.parts import parts_of  # noqa: E402
from gpu.setting import WORK, Setting  # noqa: E402

from simam_deploy.errors import SimamError  # noqa: E402
from simam_deploy.op.find import LIBRARIES, PLUGIN_VARIABLE, find_plugin  # noqa: E402
from simam_deploy.runtime.gpu import find_gpus  # noqa: E402

RESULTS = ROOT / "scripts" / "bench" / "results" / "gpu"
MINUTES = 25.0
_WHERE = "run this where nvidia-smi shows a GPU, or try it without by --dry-run"


def main(words: Sequence[str] | None = None) -> int:
    """Do what was asked; gives the exit code."""
    args = parser().parse_args(words)
    try:
        if args.list:
            print(*map(_told, parts_of(dry=False)), sep="\n")
            return 0
        if args.pack:
            return _pack(args)
        if args.unpack:
            return _unpack(args)
        return _show(args)
    except SimamError as error:
        print(f"gpu_all: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """Say what can be asked."""
    made = argparse.ArgumentParser(
        prog="gpu_all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = made.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="name the parts, and stop")
    what.add_argument("--dry-run", action="store_true", help="without a GPU, and tiny")
    what.add_argument("--pack", type=Path, metavar="FOLDER", help="write pieces to carry")
    what.add_argument("--unpack", type=Path, metavar="FOLDER", help="put pieces together")
    made.add_argument("--minutes", type=_positive, default=MINUTES, help="in all (%(default)g)")
    made.add_argument("--only", nargs="+", metavar="PART", help="some of the parts, by name")
    made.add_argument("--again", action="store_true", help="what was shown before too")
    made.add_argument("--out", type=Path, help="where tables go (scripts/bench/results/gpu)")
    made.add_argument(
        "--python", default=_this_python(), help="--pack: that machine's (%(default)s)"
    )
    made.add_argument(
        "--piece", type=_positive, default=48.0, metavar="MIB", help="--pack: at most (%(default)g)"
    )
    return made


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"not above 0: {text}")
    return number


def _this_python() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def _told(part: Part) -> str:
    return f"{part.name:20} {part.minutes:4g} min  {part.table + '.csv':24} {part.shows}"


def _chosen(names: Sequence[str] | None, dry: bool) -> list[Part]:
    parts = parts_of(dry)
    known = [part.name for part in parts]
    if unknown := [name for name in names or () if name not in known]:
        parser().error(f"no part {', '.join(map(repr, unknown))}; there are {', '.join(known)}")
    return [part for part in parts if names is None or part.name in names]


def _show(args: argparse.Namespace) -> int:
    """Run the parts."""
    parts = _chosen(args.only, args.dry_run)
    gpus = find_gpus()
    if not args.dry_run and not gpus.devices:
        print(f"gpu_all: {gpus.reason}: {_WHERE}", file=sys.stderr)
        return 2
    _find_packages()
    with tempfile.TemporaryDirectory() as scratch:
        out = args.out or (Path(tempfile.mkdtemp(prefix="gpu_all-")) if args.dry_run else RESULTS)
        out.mkdir(parents=True, exist_ok=True)
        setting = Setting(args.dry_run, Path(scratch) if args.dry_run else WORK)
        run = Run(out, stamp(args.dry_run), setting, args.again)
        print(*run.stamp.values(), sep="  ", flush=True)
        return _attended(parts, run, args.minutes)


def _attended(parts: Sequence[Part], run: Run, minutes: float) -> int:
    """Run the parts, and say at the end what became of them, however it comes."""
    outcomes: list[Outcome] = []
    signal.signal(signal.SIGTERM, _interrupt)  # as Ctrl-C: whoever sets a limit sends this
    try:
        for outcome in conduct(parts, run, minutes):
            outcomes.append(outcome)
        return _code(outcomes)
    except KeyboardInterrupt:
        print("gpu_all: interrupted; what was measured is kept", file=sys.stderr)
        return 130
    finally:
        print(*outcomes, f"tables: {run.out}", sep="\n", flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _code(outcomes: Sequence[Outcome]) -> int:
    states = {outcome.state for outcome in outcomes}
    if states & {WRONG, FAILING, CUT}:
        return 1
    return 3 if SKIP in states else 0


def _find_packages() -> None:
    """Let processes find this product, and what was unpacked behind what this Python has."""
    site = WORK / "site"
    if site.is_dir():
        sys.path.append(str(site))
    if (WORK / "plugin").is_dir() and not any(map(find_plugin, LIBRARIES)):
        os.environ[PLUGIN_VARIABLE] = str(WORK / "plugin")
    known = os.environ.get("PYTHONPATH", "")
    paths = (*PATHS, known, str(site) if site.is_dir() else "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def _pack(args: argparse.Namespace) -> int:
    from gpu.pack import pack

    for piece in pack(args.pack, Setting(), args.python, round(args.piece * 2**20)):
        print(piece)
    return 0


def _unpack(args: argparse.Namespace) -> int:
    from gpu.pack import unpack

    print(*unpack(args.unpack, WORK), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
