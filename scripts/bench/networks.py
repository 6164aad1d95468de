"""Every lowering of whole networks against eager PyTorch, torch.compile and the plain export.

    python scripts/bench/networks.py [--networks preresnet56,resnet18] [--csv FILE] [--rounds 21]

One thread of the CPU, batch 1 and 8. Weights are drawn. "official" is what torch.onnx.export makes
of the network with SimAM as its authors wrote it; ratios are to that. Networks come smallest first,
each into the table as soon as its figures are taken (`simam-bench --csv`), and one that is in the
table is not measured again: a run that is stopped goes on where it was. Mask R-CNN is measured
in one round at batch 1, and without an official export: mmdetection's is another graph.

What was expected stands in predictions.md.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from simam_deploy.bench.options import BenchOptions
from simam_deploy.bench.rows import ALL
from simam_deploy.cli.process import Steps
from simam_deploy.errors import UsageError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.graph.prepare import for_runtime, with_sites
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.pipeline.bench import bench_models
from simam_deploy.pipeline.export import export_onnx
from simam_deploy.pipeline.options import OnnxOptions
from simam_deploy.report.bench_text import bench_table
from simam_deploy.source.factory import call_factory
from simam_deploy.source.options import NetworkOptions

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results" / "bench.csv"
YOLO = ROOT / "examples" / "yolo" / "yolo.py"
MASK_RCNN = "mask_rcnn"
BATCHES = (1, 8)
OPSET = 18


class Published(nn.Module):
    """SimAM as its authors wrote it."""

    def __init__(self, e_lambda: float) -> None:
        super().__init__()
        self.e_lambda = e_lambda

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale (N, C, H, W) by its gate."""
        n = x.shape[2] * x.shape[3] - 1
        d = (x - x.mean(dim=[2, 3], keepdim=True)).pow(2)
        v = d.sum(dim=[2, 3], keepdim=True) / n
        return x * torch.sigmoid(d / (4 * (v + self.e_lambda)) + 0.5)


@dataclass(frozen=True)
class Network:
    """A network whose weights can be drawn: its input without the batch, and how it is told."""

    name: str
    shape: tuple[int, ...]
    said: NetworkOptions = field(default_factory=NetworkOptions)

    def make(self) -> nn.Module:
        """Draw its weights."""
        torch.manual_seed(0)
        if self.said.model:
            made = call_factory(self.said.model).eval()
            made.model[-1].export = True  # one output, as an export has
            return made
        return create(NETWORKS[self.name]).eval()


def networks() -> dict[str, Network]:
    """List them, the smallest first."""
    zoo = ("cifar_preresnet56", "mobilenet_v2", "resnet18", "resnet50")
    small, *large = (Network(n, tuple(NETWORKS[n].family.input_shape)) for n in zoo)
    shape = (1, 3, 320, 320)
    said = NetworkOptions(model=f"{YOLO}:YOLO", input_shape=shape, dynamic="batch")
    yolo = Network("yolo", shape[1:], said)
    return {n.name.removeprefix("cifar_"): n for n in (small, yolo, *large)}


def as_published(module: nn.Module) -> nn.Module:
    """Put the authors' SimAM in the place of every one of ours."""
    for name, child in module.named_children():
        if isinstance(child, SimAM):
            setattr(module, name, Published(child.e_lambda))
        else:
            as_published(child)
    return module


def official(network: Network, file: Path) -> Path:
    """Export by torch alone."""
    example = torch.zeros(2, *network.shape)
    torch.onnx.export(
        as_published(network.make()), (example,), file, dynamo=True, external_data=False,
        verbose=False, dynamic_shapes=({0: torch.export.Dim("batch")},), opset_version=18,
    )  # fmt: skip
    return file


def lowerings(checkpoint: Path, said: NetworkOptions, name: str) -> Iterator[Path]:
    """Write every lowering that the network can have: `portable` by its export, proof and all.

    The others are the same graph with its SimAM written otherwise; each is held against the
    checkpoint where it is measured.
    """
    first = checkpoint.with_name(f"{name}-portable.onnx")
    yield export_onnx(checkpoint, first, OnnxOptions(lowering="portable"), said).path
    for lowering in (n for n in LOWERINGS if n not in ("portable", "plugin")):
        target = checkpoint.with_name(f"{name}-{lowering}.onnx")
        graph, _ = with_sites(read_model(first))
        try:
            write_model(for_runtime(graph, OPSET, lowering=lowering), target)
        except UsageError as error:  # InstanceNormalization of free sizes
            print(f"not as {lowering}: {error}", flush=True)
            continue
        yield target


def measure(name: str, folder: Path, table: Path, rounds: int) -> None:
    """Measure one network."""
    if name == MASK_RCNN:
        measure_mask_rcnn(folder, table)
        return
    network = networks()[name]
    checkpoint = folder / f"{name}.pth"
    torch.save({"state_dict": network.make().state_dict()}, checkpoint)
    files = [
        official(network, folder / f"{name}-official.onnx"),
        *lowerings(checkpoint, network.said, name),
        checkpoint,
    ]
    asked = BenchOptions(batches=BATCHES, starts=3, rounds=rounds, compiled=True,
                         providers=("cpu",), roofline=False, reference=checkpoint)  # fmt: skip
    print(
        bench_table(
            bench_models(
                files, network.said, options=asked, table=table, progress=Steps(quiet=False)
            )
        ),
        flush=True,
    )


def measure_mask_rcnn(folder: Path, table: Path) -> None:
    sys.path.insert(0, str(ROOT))
    from tests.golden.detectors import golden_detector

    checkpoint = folder / f"{MASK_RCNN}.pth"
    torch.save({"state_dict": golden_detector("mask_rcnn_r50").state_dict}, checkpoint)
    said = NetworkOptions()
    files = [*lowerings(checkpoint, said, MASK_RCNN), checkpoint]
    asked = BenchOptions(starts=1, rounds=1, providers=("cpu",), roofline=False)
    print(
        bench_table(
            bench_models(files, said, options=asked, table=table, progress=Steps(quiet=False))
        ),
        flush=True,
    )


def done(table: Path) -> set[str]:
    """Name the networks whose rows over all starts are in the table."""
    if not table.exists():
        return set()
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["start"] == ALL and row["p50_ms"]]
    return {row["subject"].split("-")[0] for row in rows if "-portable" in row["subject"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", help="by name, with commas between (all, smallest first)")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--csv", type=Path, default=RESULTS)
    args = parser.parse_args()
    asked = args.networks.split(",") if args.networks else [*networks(), MASK_RCNN]
    for name in asked:
        if name in done(args.csv):
            print(f"{name} is in {args.csv.name} already", flush=True)
            continue
        with tempfile.TemporaryDirectory() as folder:
            measure(name, Path(folder), args.csv, args.rounds)


if __name__ == "__main__":
    main()
