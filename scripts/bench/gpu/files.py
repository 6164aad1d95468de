"""ONNX files of drawn networks and the plans made of them: packed ahead, or made when asked for.

Weights repeat after `PERIOD` numbers: a file of 100 MB is 1 MB when it is packed, and no two
filters are alike, for the period is a prime that no filter's size divides.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import torch
from engines import YOLO_SHAPE, drawn, traced_module

from gpu.setting import Setting
from simam_deploy.bench.operator_graphs import lowered, row_of_sites
from simam_deploy.core.specs import QUANTISED, TensorSpec
from simam_deploy.engine.build.build import build_engine
from simam_deploy.engine.build.prepare import recognise_file
from simam_deploy.engine.flavours.choose import FLAVOURS, installed
from simam_deploy.engine.profiles import default_profile
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import SimamError
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.graph.prepare import for_runtime, with_sites
from simam_deploy.graph.types import HALF_TYPES, LEAST_OPSET
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.op.find import find_plugin
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.int8 import quantise
from simam_deploy.precision.int8.asked import ALL, PAYS, choose
from simam_deploy.precision.int8.formats import FORMATS
from simam_deploy.source.samples import open_dataset

WHOLE = ("resnet50", "resnet18", "mobilenet_v2", "yolo")
PLACEMENTS = (PAYS, ALL)
"""What `--quantize` is asked for."""
FORMS = tuple(form for form in ("portable", "flat", "wide") if form in LOWERINGS)
PLUGIN = "plugin"
TARGETS: tuple[tuple[str, ...], ...] = ((), ("current",))
"""What plans are built for: the library's default, and where that is not taken, this GPU."""
PERIOD = 4093
SAMPLES = 16
DOUBLE, ROW = "double", "row of sites"
"""Graphs of a dry run: what the tests' TensorRT computes, and SimAM alone."""
_OPSET = max(18, *(LEAST_OPSET.get(precision, 0) for precision in QUANTISED))
"""What every quantised precision is defined in: a file of it is made of the float32 one."""


@dataclass(frozen=True)
class File:
    """A network as a file: `quantize` is "" but in int8."""

    network: str
    precision: str = "fp32"
    quantize: str = ""

    @property
    def stem(self) -> str:
        """Of file names."""
        placed = "".join(c for c in self.quantize if c.isalnum())
        return "-".join(filter(None, (self.network.replace(" ", "-"), self.precision, placed)))


def files_of(network: str) -> Iterator[File]:
    """Name the files of a network, what tells most first."""
    yield from (File(network, precision) for precision in ("fp16", "fp32"))
    yield from (File(network, *each) for each in itertools.product(QUANTISED, PLACEMENTS))


def forms_of(flavour: str) -> tuple[str, ...]:
    """Name the forms of SimAM that a plan can have, its plugin's where that is here."""
    return (*FORMS, PLUGIN) if find_plugin(flavour) is not None else FORMS


def flavours() -> list[str]:
    """Name the libraries that are installed."""
    return [flavour.name for flavour in FLAVOURS.values() if installed(flavour)]


def missing_flavours() -> str:
    """Say that there is no library; "" where there is."""
    ways = " or ".join(flavour.install for flavour in FLAVOURS.values())
    return "" if flavours() else f"no TensorRT is installed: {ways}, or gpu_all --unpack"


def onnx_of(file: File, setting: Setting) -> Path:
    """Give a file as ONNX Runtime runs it, SimAM in plain ops."""
    path = setting.work / "onnx" / f"{file.stem}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.onnx")
        write_model(_graph(file, setting), part)
        part.replace(path)
    return path


def _graph(file: File, setting: Setting) -> ir.Model:
    if file.network == DOUBLE:
        return _double()
    if file.network == ROW:
        return lowered(row_of_sites((1, 4, 5, 7)), "portable")
    if file.precision in QUANTISED:
        return _quantised(file, setting)
    graph = _traced(file.network)
    if file.precision in HALF_TYPES:
        to_half(graph, HALF_TYPES[file.precision])
    return for_runtime(graph, _OPSET, simplify=False)


def _traced(network: str) -> ir.Model:
    """Trace a network with a node a SimAM, its batch free."""
    module = drawn(network)
    repeat(module)
    family = None if network == "yolo" else NETWORKS[network].family
    usual = family.input_shape if family else YOLO_SHAPE
    outputs = family.output_names if family else ("output",)
    graph, _ = with_sites(traced_module(module, ("batch", *usual), usual, outputs, _OPSET))
    return graph


def repeat(module: torch.nn.Module) -> None:
    """Have every weight of a layer repeat, at the spread that it was drawn with."""
    with torch.no_grad():
        for weight in module.parameters():
            if weight.dim() > 1:
                numbers = torch.randn(PERIOD) * weight.std()
                times = weight.numel() // PERIOD + 1
                weight.copy_(numbers.repeat(times)[: weight.numel()].reshape(weight.shape))


def _quantised(file: File, setting: Setting) -> ir.Model:
    """Quantise the float32 file on drawn samples."""
    source = onnx_of(File(file.network), setting)
    model = read_model(source)
    (spec,), _ = interface(model)
    shape = tuple(int(d) for d in spec.shape[1:])
    choice = choose(model, file.quantize, FORMATS[file.precision])
    drawn_samples = np.random.default_rng(0).standard_normal((SAMPLES, *shape)).astype("f")
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples.npy"
        np.save(samples, drawn_samples)
        dataset = open_dataset(samples, [TensorSpec(spec.name, spec.dtype, spec.shape)], None)
        return quantise(source, dataset, choice=choice).model


def _double() -> ir.Model:
    """Give y = 2 x, which is what the tests' TensorRT computes of any graph."""
    return ir.from_proto(
        onnx.parser.parse_model(
            f"""<ir_version: 8, opset_import: ["" : {_OPSET}]>
            g (float[n,4,8,8] x) => (float[n,4,8,8] y) {{ y = Add(x, x) }}"""
        )
    )


def plan_of(
    file: File, flavour: str, form: str, setting: Setting, targets: Sequence[str] = ()
) -> Path:
    """Give a plan, with its manifest beside it; what was packed for default targets is taken.

    Raises:
        SimamError: The library does not build it.
    """
    folder = setting.work / "plans" / flavour
    path = folder / f"{'-'.join((file.stem, form, *targets))}.engine"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _build(file, onnx_of(file, setting), path, flavour, form, targets)
    return path


def _build(
    file: File, source: Path, path: Path, flavour: str, form: str, targets: Sequence[str]
) -> None:
    """Build a plan of a form that is not up to the product's choice, as the product does."""
    graph = path.with_suffix(".onnx")
    facts = recognise_file(source).write(graph, form, FLAVOURS[flavour].detection)
    inputs, _ = interface(read_model(graph))
    request = BuildRequest(
        onnx=graph,
        output=path,
        flavour=flavour,
        precision=file.precision,
        targets=tuple(targets),
        profiles=default_profile(inputs, facts),
        plugin=find_plugin(flavour) if form == PLUGIN else None,
    )
    build_engine(request, facts=facts)
    graph.unlink()


def make_all(setting: Setting, flavour: str) -> Iterator[str]:
    """Make every file and every plan of it for default targets; say of each what came of it.

    What cannot be made is left out: the part that wants it says so again.
    """
    for network in WHOLE:
        for file in files_of(network):
            yield _said(file.stem, partial(onnx_of, file, setting))
            for form in forms_of(flavour):
                yield _said(f"{file.stem}-{form}", partial(plan_of, file, flavour, form, setting))


def _said(name: str, make: Callable[[], Path]) -> str:
    try:
        return f"made {make().name}"
    except SimamError as error:
        return f"NOT MADE: {name}: {' '.join(str(error).split())}"
