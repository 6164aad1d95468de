"""Tiny models, written down as ONNX text."""

import json
from pathlib import Path

import onnx

from simam_deploy.core.files import sha256_of

TYPES = {
    "FP32": "float",
    "FP64": "double",
    "FP16": "float16",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "BOOL": "bool",
}


def write(folder: Path, name: str, graph: str) -> Path:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]>\n{graph}')
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return path


def double(folder: Path, name: str = "double", factor: float = 2.0) -> Path:
    """y = factor * x, and the sum of every row."""
    return write(folder, name, f"""
        g (float[batch, 3, 4] x) => (float[batch, 3, 4] y, float[batch, 1, 1] total)
        <float factor = {{{factor}}}, int64[2] axes = {{1, 2}}>
        {{ y = Mul(x, factor)  total = ReduceSum(x, axes) }}""")  # fmt: skip


def of_type(folder: Path, datatype: str) -> Path:
    """Hands on what it is given; by way of Where for bool, so that something is computed."""
    kind = TYPES[datatype]
    return write(folder, f"type_{datatype.lower()}", f"""
        g ({kind}[batch, 2] x) => ({kind}[batch, 2] y) {{ y = Identity(x) }}""")  # fmt: skip


def two_inputs(folder: Path) -> Path:
    """A sum of float32 a and int64 b, and their product; a row each."""
    return write(folder, "two", """
        g (float[batch, 2] a, int64[batch, 2] b) => (float[batch, 2] s, int64[batch, 2] p)
        { f = Cast<to = 1>(b)  s = Add(a, f)  i = Cast<to = 7>(a)  p = Mul(i, b) }""")  # fmt: skip


def picky(folder: Path) -> Path:
    """Looks a row up in a table of four; other indices make ONNX Runtime raise."""
    return write(folder, "picky", """
        g (int64[batch] index) => (float[batch] y)
        <float[4] table = {10, 11, 12, 13}> { y = Gather(table, index) }""")  # fmt: skip


def free_size(folder: Path) -> Path:
    """The mean of maps of any height and width."""
    return write(folder, "free", """
        g (float[batch, 1, h, w] x) => (float[batch, 1, 1, 1] y)
        { y = GlobalAveragePool(x) }""")  # fmt: skip


def mixes_rows(folder: Path) -> Path:
    """Takes the mean over the batch away: its rows see each other."""
    return write(folder, "mixes", """
        g (float[batch, 2] x) => (float[batch, 2] y)
        <int64[1] axes = {0}> { m = ReduceMean(x, axes)  y = Sub(x, m) }""")  # fmt: skip


def leans(folder: Path) -> Path:
    """Moves every row a tenth of the way to the mean of the batch; alone, a row stays."""
    return write(folder, "leans", """
        g (float[batch, 4] x) => (float[batch, 4] y)
        <int64[1] axes = {0}, float tenth = {0.1}>
        { m = ReduceMean(x, axes)  d = Sub(m, x)  t = Mul(d, tenth)  y = Add(x, t)
        }""")  # fmt: skip


def attentive(folder: Path) -> Path:
    """One SimAM site on a picture of 8 x 8, and the mean of every channel as its class's score."""
    path = write(folder, "attentive", """
        g (float[batch, 3, 8, 8] x) => (float[batch, 3] y)
        <int64[2] axes = {2, 3}, float lam = {0.0001}, float four = {4}, float half = {0.5},
         float n = {63}>
        {
          mean = ReduceMean(x, axes)  d = Sub(x, mean)  d2 = Mul(d, d)  s = ReduceSum(d2, axes)
          v = Div(s, n)  vl = Add(v, lam)  q = Mul(vl, four)  e = Div(d2, q)  g_ = Add(e, half)
          gate = Sigmoid(g_)  a = Mul(x, gate)  p = GlobalAveragePool(a)  y = Flatten(p)
        }""")  # fmt: skip
    seen = {"kind": "image", "resize": 8, "scale": 1 / 255, "mean": [0.5] * 3, "std": [0.5] * 3}
    files = [
        {"name": path.name, "size": path.stat().st_size, "sha256": sha256_of(path)},
    ]
    manifest = {"schema": 1, "kind": "onnx", "files": files, "preprocessing": seen}
    path.with_suffix(".json").write_text(json.dumps(manifest))
    return path


def fixed_batch(folder: Path) -> Path:
    return write(folder, "fixed", """
        g (float[2, 2] x) => (float[2, 2] y) { y = Neg(x) }""")  # fmt: skip


def grows(folder: Path) -> Path:
    """Ones, as many as its input says: a small request for a large answer."""
    return write(folder, "grows", """
        g (int64[2] size) => (float[a, b] y)
        <float one = {1.0}> { y = Expand(one, size) }""")  # fmt: skip


def spreads(folder: Path) -> Path:
    """Every row's number, 10,000 times: a large answer whose size the graph states."""
    return write(folder, "spreads", """
        g (float[batch, 1] x) => (float[batch, 10000] y, float[batch, 1] z)
        <int64[2] size = {1, 10000}> { y = Expand(x, size)  z = Neg(x) }""")  # fmt: skip


def anything(folder: Path) -> Path:
    """Hands on a matrix of any size."""
    return write(folder, "anything", """
        g (float[a, b] x) => (float[a, b] y) { y = Identity(x) }""")  # fmt: skip


def slow(folder: Path) -> Path:
    """Computes for as many rounds (about 8 ms) as its input says, on one core."""
    return write(folder, "slow", """
        g (int64[1] rounds) => (float[1] y)
        <float one = {1.0}, bool go = {1}, int64[2] size = {640, 640}, int64[1] flat = {1}>
        {
          shape0 = Identity(size)
          start = Expand(one, shape0)
          end = Loop(rounds, go, start) <body = step (int64 i, bool c, float[a, b] s)
              => (bool d, float[a, b] t) {
            d = Identity(c)
            m = MatMul(s, s)
            n = MatMul(m, s)
            t = Sigmoid(n)
          }>
          mean = ReduceMean<keepdims = 0>(end)
          y = Reshape(mean, flat)
        }""")  # fmt: skip


def text(folder: Path) -> Path:
    return write(folder, "text", """
        g (string[batch] x) => (string[batch] y) { y = Identity(x) }""")  # fmt: skip
