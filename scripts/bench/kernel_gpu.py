"""The fused kernel on a GPU: built, checked and measured in one command.

    build      nvcc, for this GPU's architecture alone, from plugins/simam/kernel.
    sanitize   plugins/simam/tests/device_cases.cu, which runs every kernel and holds it against
               float64: alone, then under compute-sanitizer's memcheck and racecheck.
    accuracy   the torch operators against float64 over shapes, dtypes, layouts and epilogues,
               with more than 65535 planes and more than 2^31 elements among them.
    speed      microseconds a launch and per cent of a copy of the same size in the same run. Each
               contender's launches are captured in a CUDA graph, over inputs that rotate through
               more than four times the L2 cache; contenders take turns in every round, and the
               figure is the median over rounds.

    detection  a detector's two operators: detection_gpu.py.

What was expected before it was measured stands in predictions.md.

    python scripts/bench/kernel_gpu.py [--steps build,speed] [--rounds 15] [--out FOLDER]

Writes kernel_accuracy.csv and kernel_speed.csv, detection_accuracy.csv and detection_speed.csv to
FOLDER (scripts/bench/results). Exit code 1
where a result is wrong, 2 where there is no GPU or no nvcc.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
KERNEL = ROOT / "plugins" / "simam" / "kernel"
CASES = ROOT / "plugins" / "simam" / "tests" / "device_cases.cu"
sys.path.insert(0, str(ROOT))

import detection_gpu  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as functional  # noqa: E402
from gpu_timing import Row, capture, require_gpu, require_nvcc, turn, write  # noqa: E402
from torch import Tensor  # noqa: E402

from simam_deploy.errors import SimamError  # noqa: E402
from simam_deploy.op.torch import formula, simam, simam_epilogue  # noqa: E402
from simam_deploy.op.torch.library import VARIABLE  # noqa: E402

STEPS = ("build", "sanitize", "accuracy", "speed", "detection")
TOLERANCES = {torch.float32: 2e-6, torch.float16: 6e-4, torch.bfloat16: 4.2e-3}
ACCURACY_SHAPES = (
    (3, 37, 2, 1),
    (64, 2048, 7, 7),
    (8, 1024, 14, 14),
    (4, 515, 28, 28),
    (4, 129, 57, 57),
    (2, 64, 112, 112),
    (2, 13, 200, 334),
    (1, 3, 1024, 1024),
    (50, 1400, 9, 9),  # 70,000 planes.
)
HUGE = (700, 1000, 56, 56)  # 2.2e9 elements.
SPEED_SHAPES = (
    ((32, 256, 56, 56), ("nchw", "nhwc")),
    ((32, 512, 28, 28), ("nchw", "nhwc")),
    ((32, 1024, 14, 14), ("nchw", "nhwc")),
    ((64, 2048, 7, 7), ("nchw", "nhwc")),
    ((8, 64, 200, 334), ("nchw",)),
    ((1, 256, 56, 56), ("nchw", "nhwc")),
    ((1, 64, 112, 112), ("nchw",)),
)
ACCURACY_COLUMNS = ("date", "gpu", "shape", "dtype", "layout", "epilogue", "error", "tolerance")
SPEED_COLUMNS = (
    "date", "gpu", "torch", "shape", "dtype", "layout", "epilogue", "contender", "microseconds",
    "gigabytes_per_second", "per_cent_of_copy",
)  # fmt: skip


def build(folder: Path) -> tuple[Path, Path]:
    """Compile the library and the program of cases for the current GPU; return both."""
    major, minor = torch.cuda.get_device_capability()
    sources = sorted([*KERNEL.glob("*.cu"), *KERNEL.glob("*.cpp")])
    options = [require_nvcc(), "-std=c++17", "-O3", "-lineinfo", f"-arch=sm_{major}{minor}"]
    library, cases = folder / "libsimam_kernel.so", folder / "device_cases"
    subprocess.run(
        [*options, "-Xcompiler", "-fPIC", "-shared", *sources, "-o", library], check=True
    )
    subprocess.run([*options, f"-I{KERNEL}", CASES, *sources, "-o", cases], check=True)
    return library, cases


def sanitize(cases: Path) -> bool:
    """Run the cases alone and under each tool; say what came of it."""
    right = report("cases", [str(cases)])
    tool = shutil.which("compute-sanitizer") or shutil.which(
        "/usr/local/cuda/bin/compute-sanitizer"
    )
    if tool is None:
        print("sanitize: no compute-sanitizer here, memcheck and racecheck not run")
        return right
    for name in ("memcheck", "racecheck"):
        right &= report(name, [tool, "--tool", name, "--error-exitcode", "9", str(cases)])
    return right


def report(name: str, command: list[str]) -> bool:
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    wrong = [line for line in lines if "WRONG" in line or "=========" in line]
    print(f"sanitize: {name}: exit code {done.returncode}", *wrong[-12:], sep="\n    ")
    return done.returncode == 0


def place(x: Tensor, layout: str) -> Tensor:
    kind = torch.channels_last if layout == "nhwc" else torch.contiguous_format
    return x.contiguous(memory_format=kind)


@dataclass
class Given:
    """One site's inputs: x and the residual in the layout, scale and bias (C,)."""

    x: Tensor
    residual: Tensor
    scale: Tensor
    bias: Tensor


def draw(shape: tuple[int, ...], dtype: torch.dtype, layout: str) -> Given:
    x, residual = (place(torch.randn(shape, dtype=dtype, device="cuda"), layout) for _ in range(2))
    scale = torch.rand(shape[1], device="cuda") + 0.5
    return Given(x, residual, scale, torch.randn(shape[1], device="cuda"))


def ours(epilogue: str) -> Callable[[Given], Tensor]:
    if epilogue == "none":
        return lambda given: simam(given.x)
    if epilogue == "affine":
        return lambda given: simam_epilogue(given.x, given.scale, given.bias, activation="relu")
    return lambda given: simam_epilogue(
        given.x, given.scale, given.bias, given.residual, activation="relu"
    )


def plain(epilogue: str) -> Callable[[Given], Tensor]:
    """Give what PyTorch users write, in x's own precision."""

    def run(given: Given) -> Tensor:
        x = given.x
        d2 = (x - x.mean(dim=(2, 3), keepdim=True)).square()
        v = d2.sum(dim=(2, 3), keepdim=True) / (x.shape[2] * x.shape[3] - 1)
        y = x * torch.sigmoid(d2 / (4 * (v + 1e-4)) + 0.5)
        if epilogue == "none":
            return y
        scale, bias = (p.to(x.dtype).reshape(1, -1, 1, 1) for p in (given.scale, given.bias))
        z = y * scale + bias
        return functional.relu(z + given.residual if epilogue == "residual" else z)

    return run


def instance_norm(epilogue: str) -> Callable[[Given], Tensor]:
    """Give the nearest thing of the same traffic in cuDNN: one read, one write, no gate."""

    def run(given: Given) -> Tensor:
        if epilogue == "none":
            return functional.instance_norm(given.x)
        weights = [p.to(given.x.dtype) for p in (given.scale, given.bias)]
        y = functional.instance_norm(given.x, weight=weights[0], bias=weights[1])
        return functional.relu(y + given.residual if epilogue == "residual" else y)

    return run


def exact(given: Given, epilogue: str) -> tuple[Tensor, Tensor]:
    """Return the result in float64, and by how much float32's rounding may move its summands."""
    y = formula.attend(given.x.double(), 1e-4)
    if epilogue == "none":
        return y, torch.zeros_like(y)
    residual = given.residual.double() if epilogue == "residual" else None
    scale, bias = given.scale.double(), given.bias.double()
    z = formula.finish(y, scale, bias, residual, (0.0, float("inf")))
    size = formula.finish(
        y.abs(),
        scale,
        bias.abs(),
        None if residual is None else residual.abs(),
        (0.0, float("inf")),
    )
    return z, 2e-6 * size


def excess(given: Given, epilogue: str) -> float:
    """Return the largest error over what is allowed: 1 or less is right."""
    z = ours(epilogue)(given).double()
    want, slack = exact(given, epilogue)
    if not torch.isfinite(z).all():
        return float("inf")
    allowed = TOLERANCES[given.x.dtype] * want.abs() + slack + 2.0**-25
    return float(((z - want).abs() / allowed).max())


def accuracy_rows() -> Iterator[Row]:
    cells = itertools.product(
        ACCURACY_SHAPES, TOLERANCES, ("nchw", "nhwc"), ("none", "affine", "residual")
    )
    for shape, dtype, layout, epilogue in cells:
        error = excess(draw(shape, dtype, layout), epilogue) * TOLERANCES[dtype]
        yield accuracy_row(shape, dtype, layout, epilogue, error)
    for layout in ("nchw", "nhwc"):
        yield accuracy_row(HUGE, torch.float16, layout, "none", huge_error(layout))


def accuracy_row(
    shape: tuple[int, ...], dtype: torch.dtype, layout: str, epilogue: str, error: float
) -> Row:
    return {
        **cell(shape, dtype, layout, epilogue),
        "error": f"{error:.2e}",
        "tolerance": f"{TOLERANCES[dtype]:.1e}",
    }


def huge_error(layout: str) -> float:
    """Look at the last image of a tensor of more than 2^31 elements."""
    last = draw((1, *HUGE[1:]), torch.float16, layout)
    x = place(torch.zeros(HUGE, dtype=torch.float16, device="cuda"), layout)
    x[-1:] = last.x
    want, _ = exact(last, "none")
    off = (simam(x)[-1:].double() - want).abs() / (want.abs() + 2.0**-25 / 6e-4)
    return float(off.max())


def cell(shape: tuple[int, ...], dtype: torch.dtype, layout: str, epilogue: str) -> Row:
    return {
        "shape": "x".join(map(str, shape)),
        "dtype": str(dtype).removeprefix("torch."),
        "layout": layout,
        "epilogue": epilogue,
    }


def contenders(epilogue: str) -> dict[str, Callable[[Given], Tensor]]:
    return {
        "memcpy": lambda given: given.x.clone(),
        "copy kernel": lambda given: given.x * 1,
        "ours": ours(epilogue),
        "eager": plain(epilogue),
        "compiled": torch.compile(plain(epilogue), dynamic=False),
        "instance_norm": instance_norm(epilogue),
        "instance_norm compiled": torch.compile(instance_norm(epilogue), dynamic=False),
    }


def measure(
    shape: tuple[int, ...], dtype: torch.dtype, layout: str, epilogue: str, rounds: int
) -> Iterator[Row]:
    """Time each contender; the faster of the two copies is the copy."""
    torch._dynamo.reset()
    given = draw(shape, dtype, layout)
    size = given.x.numel() * given.x.element_size()
    moved = size * (3 if epilogue == "residual" else 2)
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    sets = [given] + [draw(shape, dtype, layout) for _ in range(4 * cache // moved + 1)]
    graphs = {name: capture(run, sets) for name, run in contenders(epilogue).items()}
    times: dict[str, list[float]] = {name: [] for name in graphs}
    for name in [*graphs] * rounds:
        times[name].append(turn(graphs[name], len(sets)))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    copy = min(medians["memcpy"], medians["copy kernel"])
    for name, microseconds in medians.items():
        bytes_moved = 2 * size if name in ("memcpy", "copy kernel") else moved
        rate = bytes_moved / microseconds / 1e3
        yield {
            **cell(shape, dtype, layout, epilogue),
            "torch": torch.__version__,
            "contender": name,
            "microseconds": f"{microseconds:.2f}",
            "gigabytes_per_second": f"{rate:.0f}",
            "per_cent_of_copy": f"{100 * rate / (2 * size / copy / 1e3):.1f}",
        }


def speed_rows(rounds: int) -> Iterator[Row]:
    for shape, layouts in SPEED_SHAPES:
        for layout, epilogue in itertools.product(layouts, ("none", "affine", "residual")):
            yield from measure(shape, torch.float16, layout, epilogue, rounds)
    for dtype, layout in itertools.product((torch.bfloat16, torch.float32), ("nchw", "nhwc")):
        yield from measure(SPEED_SHAPES[0][0], dtype, layout, "none", rounds)


def run_steps(steps: list[str], rounds: int, out: Path) -> bool:
    """Run the steps; tell whether all that was looked at is right."""
    right = True
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if "build" in steps:
            library, cases = build(Path(folder))
            os.environ[VARIABLE] = str(library)
            if "sanitize" in steps:
                right &= sanitize(cases)
        if "accuracy" in steps:
            rows = write(out / "kernel_accuracy.csv", ACCURACY_COLUMNS, accuracy_rows())
            right &= all(float(row["error"]) <= float(row["tolerance"]) for row in rows)
        if "speed" in steps:
            write(out / "kernel_speed.csv", SPEED_COLUMNS, speed_rows(rounds))
        if "detection" in steps:
            right &= detection_gpu.run(Path(folder), rounds, out)
    return right


def steps_of(text: str) -> list[str]:
    steps = text.split(",")
    if unknown := sorted(set(steps) - set(STEPS)):
        raise argparse.ArgumentTypeError(
            f"unknown step {', '.join(unknown)}; there are {', '.join(STEPS)}"
        )
    wants = {"accuracy", "speed"} & set(steps) and VARIABLE not in os.environ
    if "build" not in steps and ("sanitize" in steps or wants):
        raise argparse.ArgumentTypeError(f"without build, set {VARIABLE} and leave sanitize out")
    return steps


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=steps_of, default=list(STEPS), help="some of the steps")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    try:
        require_gpu()
        return 0 if run_steps(args.steps, args.rounds, args.out) else 1
    except SimamError as error:
        print(f"kernel_gpu: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
