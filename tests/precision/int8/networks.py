"""Networks for the tests of the room: exported, with samples to calibrate and to judge with."""

import functools
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.core.specs import TensorSpec
from simam_deploy.core.validation import ValidationReport
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.precision.int8 import Quantised, judge, quantise
from simam_deploy.precision.int8.placement import Choice
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source.samples import Dataset, open_dataset
from simam_deploy.verify.report import describe_failure
from tests.graph.onnx_text import model


@dataclass(frozen=True, eq=False)
class Network:
    """A float32 file, files of samples to calibrate and to judge with, and the int8 file."""

    file: Path
    samples: Path
    others: np.ndarray
    choice: Choice = field(default_factory=Choice)

    @functools.cached_property
    def spec(self) -> TensorSpec:
        with OnnxRunner(self.file) as runner:
            return runner.inputs[0]

    def dataset(self, limit: int | None = None) -> Dataset:
        return open_dataset(self.samples, [self.spec], None, limit=limit)

    @functools.cached_property
    def judged(self) -> Dataset:
        path = self.samples.with_name(f"others{zlib.crc32(self.others.tobytes())}.npy")
        np.save(path, self.others)
        return open_dataset(path, [self.spec], None)

    @property
    def feeds(self) -> dict[str, np.ndarray]:
        return {self.spec.name: self.others}

    @functools.cached_property
    def quantised(self) -> Quantised:
        return quantise(self.file, self.dataset(), choice=self.choice)

    @functools.cached_property
    def int8(self) -> Path:
        path = self.file.with_suffix(f".{self.choice.numbers.name}.onnx")
        write_model(self.quantised.model, path)
        return path

    def faulty(self, fault, folder: Path) -> Path:
        """Write the int8 file with a fault in it."""
        graph = read_model(self.int8)
        fault(graph)
        write_model(graph, folder / "faulty.onnx")
        return folder / "faulty.onnx"

    def verdict(self, candidate: Path | None = None, **options) -> ValidationReport:
        options = {"choice": self.quantised.choice, **options}
        return judge(self.file, candidate or self.int8, self.judged, **options)


def reason(verdict: ValidationReport) -> str:
    """What failed first, or nothing."""
    return "" if verdict.passed else describe_failure(verdict)


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def weights(**changed: np.ndarray) -> dict[str, np.ndarray]:
    """Five 3x3 convolutions' weights and a bias."""
    drawn = {f"w{i}": draw(i, 4, 4, 3, 3) / 6 for i in range(1, 6)}
    return {**drawn, "b": draw(9, 4), **changed}


def small(folder: Path, text: str = "", **changed: np.ndarray) -> Network:
    """A residual block between a first and a last layer, calibrated and judged on drawn samples."""
    graph = model(text or BLOCK, **weights(**changed))
    RemoveUnusedNodesPass()(graph)
    write_model(graph, folder / "m.onnx")
    samples = np.random.default_rng(0).standard_normal((8, 4, 9, 9)).astype(np.float32)
    np.save(folder / "x.npy", samples)
    return Network(folder / "m.onnx", folder / "x.npy", samples)


def block(body: str, opset: int = 18) -> str:
    return f"""<ir_version: 8, opset_import: ["" : {opset}]>
        g (float[n,4,9,9] x) => (float[n,4,9,9] y) {{ {body} }}"""


BLOCK = block(
    """[one] a = Conv<pads = [1, 1, 1, 1]>(x, w1, b)
    r = Relu(a)
    [two] c = Conv<pads = [1, 1, 1, 1]>(r, w2, b)
    s = Relu(c)
    [three] d = Conv<pads = [1, 1, 1, 1]>(s, w3, b)
    t = Add(d, r)
    u = Relu(t)
    [four] y = Conv<pads = [1, 1, 1, 1]>(u, w4)"""
)


def weight_of(graph: ir.Model, layer: str) -> ir.Value:
    """The int8 weights of a convolution."""
    node = next(n for n in graph.graph if n.name == layer)
    return node.inputs[1].producer().inputs[0]


def replace(value: ir.Value, array: np.ndarray) -> None:
    value.const_value = ir.tensor(array, name=value.name)
