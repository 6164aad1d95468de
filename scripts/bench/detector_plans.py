"""Plans of whole detectors for TensorRT-RTX, built without a GPU: with Loops and with the plugin.

Each .onnx, exported with free sides (`simam-export mask_rcnn.pth`), is built for one picture of
800 x 1344 and for all pictures from 320 x 320 to 1344 x 1344; without a plugin, so that RoIAlign
and suppression are Loops, and with the library of plugins/simam, where they are a launch each.

    launches     kernels in the plan; those in a Loop's body count once, however often it runs
    plugins      how many of them are the plugin's
    seconds      in TensorRT
    megabytes    of the plan

What was expected before it was measured stands in predictions.md.

    python scripts/bench/detector_plans.py FILE.onnx... [--csv FILE]
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tables import FACTS, facts, recorded

from simam_deploy.core.artifacts import EngineArtifact
from simam_deploy.engine.options import EngineOptions
from simam_deploy.errors import SimamError
from simam_deploy.op.find import find_plugin
from simam_deploy.pipeline.build import build

COLUMNS = (
    *FACTS, "network", "precision", "sides", "form", "launches", "plugins", "seconds", "megabytes",
    "reason",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "detector_plans.csv"
TARGET = "sm89"
SIDES = {
    "800x1344": ((800, 1344),) * 3,
    "320x320 to 1344x1344": ((320, 320), (800, 1344), (1344, 1344)),
}
"""Least, tuned for, largest."""
Row = dict[str, Any]


def options(sides: str, plugin: str) -> EngineOptions:
    """Ask for an engine of one picture of these sides."""
    least, best, most = (({"image": (1, 3, *each), "image_size": (1, 2)},) for each in SIDES[sides])
    return EngineOptions(
        backend="rtx", targets=(TARGET,), plugin=plugin, cache=False,
        min_shapes=least, opt_shapes=best, max_shapes=most,
    )  # fmt: skip


def rows(files: list[Path], library: Path) -> Iterator[Row]:
    """Build every file in every way."""
    forms = {"loops": "never", "plugin": str(library)}
    for file, sides, form in itertools.product(files, SIDES, forms):
        with tempfile.TemporaryDirectory() as folder:
            try:
                made = build(file, Path(folder) / "d.engine", options(sides, forms[form]))
                figures = measured(made)
            except SimamError as error:
                figures = {"reason": " ".join(str(error).split())[:300]}
        yield {**facts("tensorrt_rtx_cu13"), "network": file.stem, "sides": sides, "form": form,
               **figures}  # fmt: skip


def measured(made: EngineArtifact) -> Row:
    """Give what an engine says of itself."""
    return {
        "precision": made.precision,
        "launches": made.audit.launches,
        "plugins": made.audit.plugins,
        "seconds": round(made.build_seconds, 1),
        "megabytes": round(made.size / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--csv", type=Path, default=RESULTS)
    args = parser.parse_args()
    library = find_plugin("tensorrt_rtx")
    if library is None:
        raise SystemExit("no plugin for tensorrt_rtx: scripts/build_plugin makes it")
    for row in recorded(args.csv, COLUMNS, rows(args.files, library)):
        print(*(row.get(column, "") for column in COLUMNS[len(FACTS) :]), sep="  ", flush=True)


if __name__ == "__main__":
    main()
