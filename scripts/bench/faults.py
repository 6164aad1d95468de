"""Which planted faults a validation finds, by network, precision and fault.

    moves       what the fault does to the float32 network on pictures of its own: the largest
                change of any plane of an output (axis 1) over that plane's largest value; of
                indices, the share that changed
    verdict     "caught", "admitted" (it passes, and the report calls something not proved),
                "below" (it passes, and the report's power says that so small a move would),
                "SILENT" (it passes), "void" (refused, as the clean file is), "unplantable"
    by          gates, layers, outputs, or refused: no report at all
    power       what the report says of its own power, if it does

The networks are of `tests/nets`, trained on drawn shapes, 64 pixels wide; "Labelled" is the
detector of three outputs again, its ArgMax put behind an exported .onnx. A fault is planted by an
edit of the clean .onnx, and judged against the clean float32 .onnx or, with --source pth, against
the weights. The fault "none" is the clean file itself, which is to pass: "REFUSED" and "no file",
where its export was refused, are faults of ours.

    python scripts/bench/faults.py [--networks ...] [--csv scripts/bench/results/faults.csv]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tables import FACTS, facts, recorded

from simam_deploy import SimamError
from simam_deploy.verify.power import SCORE
from tests.nets.faults import FAULTS, UnplantableError, fits, plant
from tests.nets.files import LABELLED, PRECISIONS, clean, network_options
from tests.nets.judging import Verdict, judge, short
from tests.nets.weights import shapes, weights

OF_TORCH = ("Classifier", "Segmenter", "Detector", "ThreeOutputs")
NETWORKS = (*OF_TORCH, LABELLED)
NONE = "none"
COLUMNS = (*FACTS, "network", "precision", "fault", "moves", "verdict", "by", "said", "power")


def run(file: Path, pictures: np.ndarray) -> list[np.ndarray]:
    """Run a file in ONNX Runtime."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: pictures}))


def moves(before: Path, after: Path) -> float:
    """Give the largest change of any plane, or the share of indices that changed."""
    pictures = shapes(8, seed=20_000)[0]
    pairs = zip(run(before, pictures), run(after, pictures), strict=True)
    return max(_change(old, new) for old, new in pairs)


def _change(old: np.ndarray, new: np.ndarray) -> float:
    if old.dtype.kind == "i":
        return float((old != new).mean())
    axes = tuple(axis for axis in range(old.ndim) if axis != 1)
    return float((np.abs(new - old).max(axes) / np.abs(old).max(axes)).max())


def judge_fault(
    folder: Path, network: str, precision: str, fault: str, source: str = "onnx"
) -> Verdict:
    """Plant a fault in a clean file and judge it.

    Raises:
        SimamError: There is no clean file.
        UnplantableError: It has no place for the fault.
    """
    candidate = clean(folder, network, precision)
    if fault != NONE:
        candidate = plant(fault, network, candidate, folder / "faulty.onnx")
    if source == "pth":
        return judge(weights(folder, network, "trained"), candidate, network_options(network))
    return judge(clean(folder, network), candidate)


def measure(folder: Path, network: str, precision: str, fault: str, source: str) -> dict[str, Any]:
    """Give one row: how far the fault moves the network, and what became of it."""
    row: dict[str, Any] = {"fault": fault}
    try:
        if fault != NONE:
            spoilt = plant(fault, network, clean(folder, network), folder / "moved.onnx")
            row["moves"] = f"{moves(clean(folder, network), spoilt):.1e}"
        found = judge_fault(folder, network, precision, fault, source)
    except SimamError as error:
        return {**row, "verdict": "no file", "said": short(error)}
    except UnplantableError as error:
        return {**row, "verdict": "unplantable", "said": str(error)}
    said = {"by": found.caught, "said": short(found.said), "power": found.power}
    return {**row, "verdict": _word(found, row), **said}


def _word(found: Verdict, row: Mapping[str, Any]) -> str:
    if not found.silent:
        return "caught" if found.caught else "admitted"
    return "below" if float(row.get("moves", "inf")) < smallest_seen(found.power) else "SILENT"


def smallest_seen(power: str) -> float:
    """Give the relative move of a slice that comes to its bound, by the power that is stated.

    The report says how many times its bound a share of `SCORE` of the bluntest slice comes to.
    """
    units = json.loads(power or "{}").get("score", {}).get("units") or 0.0
    return SCORE / units if units else 0.0


def judge_file(folder: Path, network: str, precision: str, source: str) -> Iterator[dict[str, Any]]:
    """Judge the clean file, and where there is one, every fault that it can have."""
    none = measure(folder, network, precision, NONE, source)
    words = {"SILENT": "passed", "caught": "REFUSED"}
    yield {**none, "verdict": words.get(none["verdict"], none["verdict"])}
    if none["verdict"] == "no file":
        return
    for fault in (each for each in FAULTS if fits(each, network)):
        row = measure(folder, network, precision, fault, source)
        void = none["verdict"] == row["verdict"] == "caught"
        yield {**row, "verdict": "void"} if void else row


def rows(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Judge every fault in every file that can have it."""
    known = facts("onnxruntime")
    for network in args.networks:
        for precision in args.precisions:
            of = {"network": network, "precision": precision}
            for row in judge_file(folder, network, precision, args.source):
                yield known | of | row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--precisions", nargs="*", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--source", default="onnx", choices=("onnx", "pth"))
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    words: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for row in recorded(args.csv, COLUMNS, rows(args, Path(folder))):
            words[row["verdict"]] += 1
            shown = (row.get(name, "") for name in COLUMNS[3:9])
            print(*(f"{value:16}" for value in shown), row.get("said", "")[:80], flush=True)
    print(dict(words))


if __name__ == "__main__":
    main()
