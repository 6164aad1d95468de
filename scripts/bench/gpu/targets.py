"""Whether this GPU takes a plan, by what the plan was built for.

    covers   the architectures that the plan names. TensorRT-RTX's default names "sm80 and newer",
             while its targets are sm75, 80, 86, 89, 120 and 121 alone: no plan names sm90, and
             whether a Hopper takes the default one shows here.
    taken    whether a runner opens it; `said` is what the library says where it does not
    error    of the outputs, where it does

What is refused is a finding, and no fault.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

from rtx_plan import architectures

from gpu.files import DOUBLE, ROW, File, flavours, missing_flavours, onnx_of, plan_of
from gpu.held import judged, reference
from gpu.part import said_of
from gpu.plans import percentiles, shapes_of
from gpu.setting import Setting
from gpu.table import Cell, Row
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.engine.run.runner import TensorRTRunner
from simam_deploy.errors import SimamError

DEFAULT = "default"
AHEAD = ("sm80", "sm86", "sm89", "sm120", "sm80 sm86 sm89 sm120")
PRECISIONS = ("fp16", "fp32")
_RUNS = 50


def missing(setting: Setting) -> str:
    """Ask for a library."""
    return missing_flavours()


def cells(setting: Setting) -> Iterable[Cell]:
    """Give network, precision, library and targets: the library's default first."""
    for flavour in flavours():
        targets = (DEFAULT, "current", *(AHEAD if FLAVOURS[flavour].builds_ahead else ()))
        if setting.dry:
            yield (DOUBLE if flavour == "tensorrt" else ROW), "fp32", flavour, DEFAULT
        else:
            names = itertools.product(("resnet18",), PRECISIONS, (flavour,), targets)
            yield from sorted(names, key=lambda name: name[3] != DEFAULT)


def measure(cell: Cell, setting: Setting) -> Iterable[Row]:
    """Build a plan, and open it."""
    network, precision, flavour, targets = cell
    file = File(network, precision)
    try:
        form = "portable" if network == DOUBLE else "wide"
        asked = () if targets == DEFAULT else tuple(targets.split())
        plan = plan_of(file, flavour, form, setting, asked)
    except SimamError as error:
        return [{"taken": "not built", "said": said_of(error)}]
    covers = {"covers": architectures(plan.read_bytes())}
    try:
        return [{**covers, "taken": "yes", **_figures(plan, file, setting)}]
    except SimamError as error:
        return [{**covers, "taken": "no", "said": said_of(error)}]


def _figures(plan: Path, file: File, setting: Setting) -> Mapping[str, str]:
    """Run a plan, and hold it against ONNX Runtime."""
    shapes = shapes_of(file, setting)
    truth = reference(onnx_of(file, setting), shapes)
    with TensorRTRunner(plan, trust=True) as runner:
        times = runner.latencies(shapes[-1], 2 if setting.dry else _RUNS)
        return {**judged(truth.error(runner), file.precision), **percentiles(times)}
