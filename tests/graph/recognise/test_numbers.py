"""The numbers in a graph: n told from H*W, half precision, lambda."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.recognise import recognise
from simam_deploy.graph.recognise.interval import Interval
from tests.graph.recognise.formula import formula, in_dtype

BIASED = "biased variance (n = H*W, not H*W - 1)"
FP16, BF16, FP32 = ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.FLOAT


def sized(height: int, width: int, n: int, dtype: ir.DataType = FP32, **steps: str) -> list[str]:
    """Return the reasons against SimAM at this size and n, all in `dtype`."""
    shape = f"float[1, 4, {height}, {width}]"
    constants = {"n": f"float n = {{{n}}}"}
    model = formula(source=f"{shape} x", results=f"{shape} y", constants=constants, **steps)
    findings = recognise(in_dtype(model, dtype))
    assert len(findings.sites) + len(findings.near_misses) == 1
    return [miss.reason for miss in findings.near_misses]


@pytest.mark.parametrize("side", [7, 14, 56, 112, 800, 2000])
def test_n_is_told_from_its_neighbours_in_fp32(side: int) -> None:
    pixels = side * side
    assert sized(side, side, pixels - 1) == []
    assert sized(side, side, pixels) == [BIASED]
    assert sized(side, side, pixels - 2)[0].endswith("not H*W - 1")


@pytest.mark.parametrize("dtype", [FP16, BF16])
@pytest.mark.parametrize(("height", "width"), [(3, 3), (7, 7), (8, 8), (15, 17), (14, 18)])
def test_n_is_told_from_its_neighbours_in_half_precision_while_it_is_exact(
    dtype: ir.DataType, height: int, width: int
) -> None:
    pixels = height * width
    assert sized(height, width, pixels - 1, dtype) == []
    assert sized(height, width, pixels, dtype) == [BIASED]


def test_a_constant_that_both_round_to_is_taken_for_simam() -> None:
    assert np.float16(3135) == np.float16(3136) == 3136
    assert sized(56, 56, 3135, FP16) == []
    assert sized(56, 56, 3136, FP16) == []


@pytest.mark.parametrize("height", range(45, 90))
def test_every_n_is_taken_as_it_rounds_to_fp16(height: int) -> None:
    pixels = height * 56
    for n in range(pixels - 4, pixels + 3):
        accepted = sized(height, 56, n, FP16) == []
        assert accepted == (np.float16(n) == np.float16(pixels - 1)), n


def test_the_mean_is_biased_in_half_precision_as_well() -> None:
    """No constant carries H*W there, so nothing was rounded."""
    steps = {"s": "s = ReduceMean <axes = [2, 3]> (d2)", "v": "v = Identity (s)"}
    for dtype in (FP16, BF16):
        assert sized(56, 56, 1, dtype, **steps) == [BIASED]


def test_an_infinite_n_is_reported_as_broken() -> None:
    assert sized(256, 256, 65535, FP16) == ["fp16: n = inf, broken"]
    steps = {"v": "shape = Shape (x) hw = Slice (shape, two_axis, four_axis) m = ReduceProd (hw) "
             "n1 = Sub (m, one_axis) nf = Cast <to = 10> (n1) v = Div (s, nf)"}  # fmt: skip
    axes = {
        f"{k}_axis": f"int64[1] {k}_axis = {{{v}}}"
        for k, v in (("one", 1), ("two", 2), ("four", 4))
    }
    shape = "float[1, 4, 256, 256]"
    model = formula(source=f"{shape} x", results=f"{shape} y", constants=axes, **steps)
    (miss,) = recognise(in_dtype(model, FP16)).near_misses
    assert miss.reason == "fp16: n = inf, broken"


def test_one_pixel_is_refused() -> None:
    assert sized(1, 1, 1) == ["H*W = 1, where SimAM divides by zero"]
    assert sized(1, 1, 0) == ["fp32: n = 0, broken"]
    assert sized(1, 2, 1) == []


@pytest.mark.parametrize("e_lambda", [0.0, 1e-8, 3e-7, 1e-4, 0.1, 1 / 3, 4.0, 256.0, 1e6])
@pytest.mark.parametrize(("dtype", "stored"), [(FP32, np.float32), (FP16, np.float16)])
def test_lambda_is_the_shortest_decimal_that_is_stored_so(
    e_lambda: float, dtype: ir.DataType, stored: type[np.floating]
) -> None:
    shape = "float[1, 4, 8, 8]"
    constants = {"n": "float n = {63}", "lam": f"float lam = {{{e_lambda!r}}}"}
    model = formula(source=f"{shape} x", results=f"{shape} y", constants=constants)
    findings = recognise(in_dtype(model, dtype))
    with np.errstate(over="ignore"):
        kept = stored(np.float32(e_lambda))
    if np.isinf(kept):
        assert findings.near_misses[0].reason == "lambda = inf, broken"
    else:
        assert findings.sites[0].e_lambda == float(str(kept))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_interval_holds_just_the_reals_that_round_to_its_constant(
    dtype: type[np.floating],
) -> None:
    info = np.finfo(dtype)
    random = np.random.default_rng(1)
    values = [1.0, 3136.0, 4096.0, 0.1, float(info.smallest_normal), float(info.tiny) / 8]
    for value in [*values, *random.normal(0, 100, 50)]:
        stored = dtype(value)
        interval = Interval.rounding_to(
            float(stored), float(info.eps) / 2, float(info.smallest_subnormal)
        )
        ends = np.array([interval.low, interval.high], np.float64)
        inside = float(stored) + (ends - float(stored)) * np.float64(0.999)
        outside = float(stored) + (ends - float(stored)) * np.float64(1.003)
        assert (inside.astype(dtype) == stored).all(), value
        assert (outside.astype(dtype) != stored).all(), value
