"""ONNX Runtime's CUDA provider: outputs against its CPU provider's, and latencies.

Times are on the clock, with the copies from and to the host that a caller pays for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from gpu.files import QUANTISED, ROW, WHOLE, File, files_of, onnx_of
from gpu.held import judged, reference
from gpu.plans import percentiles, shapes_of
from gpu.setting import Setting
from gpu.table import Cell, Row
from simam_deploy.runtime.onnx_runner import PROVIDERS, OnnxRunner

RUNS, WARM_UP = 60, 10


def missing(setting: Setting) -> str:
    """Ask for the provider."""
    import onnxruntime

    wanted, there = PROVIDERS["cuda"][0], onnxruntime.get_available_providers()
    if setting.dry or wanted in there:
        return ""
    return (
        f"ONNX Runtime {onnxruntime.__version__} has no {wanted}, only {', '.join(there)}: "
        "pip install 'simam-deploy[gpu]'"
    )


def cells(setting: Setting) -> Iterable[Cell]:
    """Give network and precision."""
    if setting.dry:
        return [(ROW, "fp32")]
    files = [file for network in WHOLE for file in files_of(network)]
    return [(f.network, f.precision) for f in files if f.precision not in QUANTISED]


def measure(cell: Cell, setting: Setting) -> Iterator[Row]:
    """Run a file by both providers; dry, by the same twice."""
    file = File(*cell)
    path = onnx_of(file, setting)
    shapes = shapes_of(file, setting)
    truth = reference(path, shapes)
    providers = PROVIDERS["cpu" if setting.dry else "cuda"]
    with OnnxRunner(path, providers) as runner:
        for index, shape in enumerate(shapes):
            times = []
            for _ in range(WARM_UP + RUNS):
                started = time.perf_counter()
                runner.run(truth.cases[index])
                times.append(1e3 * (time.perf_counter() - started))
            batch = next(iter(shape.values()))[0]
            error = truth.error(runner, index)
            yield {"batch": batch, **percentiles(times[WARM_UP:]), **judged(error, file.precision)}
