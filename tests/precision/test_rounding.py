import ml_dtypes
import numpy as np
import pytest

from simam_deploy.precision.rounding import rounded
from tests.graph.onnx_text import model, run
from tests.precision.half.graphs import BF16, ELEMENT, FP16, naive, planes


@pytest.mark.parametrize(
    ("dtype", "kind"), [(FP16, np.float16), (BF16, ml_dtypes.bfloat16)], ids=["fp16", "bf16"]
)
def test_rounds_every_value_as_numpy_does(dtype, kind):
    element = ELEMENT[dtype]
    graph = model(
        f"""<ir_version: 10, opset_import: ["" : 22]>
        g ({element}[n] x) => ({element}[n] y, float[n] z)
        {{ a = Mul(x, x) b = Add(a, k) y = Sub(b, x) z = Cast<to = 1>(b) }}""",
        k=np.array(0.1).astype(kind),
    )
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(4096) * 10.0 ** rng.integers(-8, 5, 4096)).astype(np.float32)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        h = x.astype(kind).astype(np.float32)
        a = (h * h).astype(kind).astype(np.float32)
        b = (a + np.float32(np.array(0.1).astype(kind))).astype(kind).astype(np.float32)
        y = (b - h).astype(kind).astype(np.float32)
    got_y, got_z = run(rounded(graph), x=x)
    np.testing.assert_array_equal(got_y, y)
    np.testing.assert_array_equal(got_z, b)
    assert np.isinf(y).any() == (dtype == FP16)


def test_shows_the_collapse_that_the_cpu_provider_hides():
    x = planes("std 5", 56, 56)
    hidden = run(naive(56, 56), x=x.astype(np.float16))[0] / x
    shown = run(rounded(naive(56, 56)), x=x)[0] / x
    far = np.abs(x) > 5
    assert hidden[far].min() > 0.64
    np.testing.assert_allclose(shown[far], 0.6225, atol=1e-3)
