"""What `simam-build --precision auto` keeps of whole networks, and why.

Networks and samples are those of quantised.py, as float32 files of batch 1; plans are built for
sm89 by TensorRT-RTX without a GPU, so that launches and then size decide. A network takes five
exports with their proofs, and two builds of each.

    kept        the conversion
    launches    and bytes, of its plan
    fp16        launches of the fp16 plan
    why         what the manifest says of the choice, and of what was not taken

What was expected stands in predictions.md. A run that is stopped goes on where it was.

    python scripts/bench/auto.py [--csv FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from quantised import DIGITS, YOLO, fresh, inputs
from tables import FACTS, appended, facts, stand_in

from simam_deploy import EngineOptions, build
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.prepare import for_runtime

COLUMNS = (*FACTS, "network", "samples", "kept", "launches", "bytes", "fp16", "why")
RESULTS = Path(__file__).parent / "results" / "auto.csv"
ORDER = (YOLO, "resnet18", DIGITS, "mobilenet_v2", "resnet50")
SAID = ("auto kept", "not fp16", "not int8", "not fp8")


def measured(network: str, folder: Path) -> dict[str, Any]:
    """Build by the command's own way, and read the manifest."""
    source, samples = folder / f"{network}.onnx", folder / "x.npy"
    graph = fresh(network)
    write_model(for_runtime(graph, graph.opset_imports[""], True, "portable"), source)
    np.save(samples, inputs(network)[0])
    asked = EngineOptions(
        precision="auto", calibration_data=samples, backend="rtx", targets=("sm89",), cache=False
    )
    artifact = build(source, folder / "m.engine", asked)
    document = json.loads(artifact.manifest_path.read_text())
    told = {each["conversion"]: each for each in document["candidates"]}
    notes = [note for note in document["notes"] if note.startswith(SAID)]
    return {
        **facts("tensorrt_rtx_cu13"),
        "network": network,
        "samples": len(inputs(network)[0]),
        "kept": next(name for name in told if notes[0].startswith(f"auto kept {name}:")),
        "launches": artifact.audit.launches,
        "bytes": artifact.size,
        "fp16": told["fp16"]["launches"],
        "why": "; ".join(notes),
    }


def rows(table: Path) -> Iterator[dict[str, Any]]:
    """Build what is not in a table yet."""
    known = stand_in(table, ["network"])
    for network in ORDER:
        if (network,) not in known:
            with tempfile.TemporaryDirectory() as folder:
                yield measured(network, Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, default=RESULTS)
    table = parser.parse_args().csv
    for row in appended(table, COLUMNS, rows(table)):
        print(*(row[column] for column in COLUMNS[len(FACTS) :]), sep="  ", flush=True)


if __name__ == "__main__":
    main()
