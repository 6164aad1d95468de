"""Hash what `simam-export` writes for every golden network in fp32, fp16 and int8.

    python scripts/golden_hashes.py FOLDER > after.txt     # ten minutes; names pick some networks

Two checkouts in the same environment, given the same FOLDER (which keeps the checkpoints), print
the same lines exactly when they write the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path.cwd()))

from simam_deploy.cli.export import main as export
from tests.golden import CASES, Golden, golden

PRECISIONS = ("fp32", "fp16", "int8")
SAMPLES = 13


def checkpoint_of(case: Golden, folder: Path) -> Path:
    """Save a network as its authors do, lambda in the folder's name; once."""
    name = case.name.removeprefix("cifar_")
    file = folder / case.name / f"run-{name}-simam-param{case.e_lambda}" / "model_best.pth.tar"
    if not file.exists():
        file.parent.mkdir(parents=True)
        torch.save({"state_dict": case.state_dict}, file)
    return file


def samples_of(case: Golden, folder: Path) -> Path:
    """Draw calibration samples; once."""
    file = folder / f"{case.name}.npy"
    if not file.exists():
        rng = np.random.default_rng(zlib.crc32(case.name.encode()))
        shape = (SAMPLES, *case.runs[0].input.shape[1:])
        np.save(file, rng.standard_normal(shape).astype(np.float32))
    return file


def hash_of(case: Golden, precision: str, folder: Path) -> str:
    """Export, and hash the .onnx with its external data; or say how the command ended."""
    size = "x".join(map(str, case.runs[0].input.shape[1:]))
    with tempfile.TemporaryDirectory() as out:
        words = [str(checkpoint_of(case, folder)), "-o", f"{out}/m.onnx", "--input-shape", size]
        words += ["--precision", precision, "--quiet"]
        if precision == "int8":
            words += ["--calibration-data", str(samples_of(case, folder))]
        with contextlib.redirect_stdout(io.StringIO()):
            status = export(words)
        digest = hashlib.sha256()
        for file in sorted(Path(out).glob("m.onnx*")):
            digest.update(file.read_bytes())
    return f"exit {status}" if status else digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="for checkpoints and samples")
    parser.add_argument("networks", nargs="*", default=CASES, help="default: all golden networks")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.networks:
        case = golden(name)
        for precision in PRECISIONS:
            print(name, precision, hash_of(case, precision, args.folder), flush=True)


if __name__ == "__main__":
    main()
