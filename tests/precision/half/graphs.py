"""Graphs for the tests of the precision room."""

import numpy as np
import onnx_ir as ir

from tests.graph.onnx_text import model

FP16, BF16 = ir.DataType.FLOAT16, ir.DataType.BFLOAT16
ELEMENT = {FP16: "float16", BF16: "bfloat16"}


def naive(height: int, width: int, dtype: ir.DataType = FP16, e_lambda: float = 1e-4) -> ir.Model:
    """The published formula in half throughout, as a converter without a block list leaves it."""
    kind = ELEMENT[dtype]
    constants = {"two": 2.0, "n": height * width - 1.0, "lam": e_lambda, "four": 4.0, "half": 0.5}
    with np.errstate(over="ignore"):
        arrays = {k: np.asarray(v).astype(dtype.numpy()) for k, v in constants.items()}
    return model(
        f"""<ir_version: 10, opset_import: ["" : 22]>
        g ({kind}[1,4,{height},{width}] x) => ({kind}[1,4,{height},{width}] y)
        <int64[2] axes = {{2, 3}}> {{
            mean = ReduceMean(x, axes)
            d = Sub(x, mean)
            d2 = Pow(d, two)
            s = ReduceSum(d2, axes)
            v = Div(s, n)
            vl = Add(v, lam)
            q = Mul(vl, four)
            e = Div(d2, q)
            h = Add(e, half)
            gate = Sigmoid(h)
            y = Mul(x, gate)
        }}""",
        **arrays,
    )


def block(shape: str = "1,4,9,9", opset: int = 22) -> ir.Model:
    """Conv, SimAM, BN, ReLU and a second SimAM pair, one behind the other."""
    return model(
        f"""<ir_version: 8, opset_import: ["" : {opset}, "simam" : 1]>
        g (float[{shape}] x) => (float[{shape}] y)
        <float[{shape}] a, float[{shape}] b, float[{shape}] c, float[{shape}] d,
         float[{shape}] e, float[{shape}] f> {{
            a = Conv<pads = [1, 1, 1, 1]>(x, w, k)
            [first] b = simam.SimAM<e_lambda = 0.0001>(a)
            c = BatchNormalization(b, k, k, k, v)
            d = Relu(c)
            [second] e = simam.SimAM<e_lambda = 0.0001>(d)
            [third] f = simam.SimAM<e_lambda = 0.1>(e)
            y = Add(f, d)
        }}""",
        w=draw(4, 4, 3, 3) / 3,
        k=draw(4),
        v=np.abs(draw(4)) + 0.5,
    )


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def planes(kind: str, height: int, width: int) -> np.ndarray:
    """Hazardous feature maps (1, 4, H, W)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 4, height, width))
    made = {
        "std 1": x,
        "std 5": 5 * x,
        "std 30": 30 * x,
        "uniform 300": rng.uniform(-300, 300, x.shape),
        "mean 50": 50 + 0.5 * x,
        "outliers": np.where(rng.random(x.shape) < 5e-4, 250.0, x),
    }
    made["outliers"][..., 0, 0] = 250.0
    return made[kind].astype(np.float32)
