"""A large model with external data, read, rewritten and written again: what it takes of memory."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

COUNT = 10
PATTERN = 4096
"""Floats written at the head of each weight; the rest of its file stays a hole."""

LINES = """
    mean = ReduceMean<axes = [2, 3]>(a)
    d = Sub(a, mean)
    d2 = Mul(d, d)
    s = ReduceSum(d2, axes)
    v = Div(s, n)
    vl = Add(v, lam)
    q = Mul(vl, four)
    e = Div(d2, q)
    h = Add(e, half)
    gate = Sigmoid(h)
    b = Mul(a, gate)
"""
STORED = """
    int64[2] axes = {2, 3}, float n = {34}, float lam = {0.1}, float four = {4}, float half = {0.5}
"""


def build(folder: Path, megabytes: int) -> Path:
    """A SimAM, its map shifted by the largest value of each of ten weights."""
    rows = megabytes * 10**6 // COUNT // 4 // 1024
    sums = " ".join(f"m{i} = ReduceMax<keepdims = 0>(w{i})" for i in range(COUNT))
    total = ", ".join(f"m{i}" for i in range(COUNT))
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,5,7] x) => (float[1,2,5,7] y) <{STORED}> {{
            {sums} t = Sum({total}) a = Add(x, t) {LINES} y = Neg(b)
        }}"""
    )
    rng = np.random.default_rng(0)
    with (folder / "w.data").open("wb") as file:
        for i in range(COUNT):
            offset = i * rows * 4096
            tensor = TensorProto(name=f"w{i}", dims=[rows, 1024], data_type=TensorProto.FLOAT)
            tensor.data_location = TensorProto.EXTERNAL
            entries = {"location": "w.data", "offset": offset, "length": rows * 4096}
            for key, value in entries.items():
                tensor.external_data.add(key=key, value=str(value))
            model.graph.initializer.append(tensor)
            file.seek(offset)
            file.write(rng.standard_normal(PATTERN).astype(np.float32).tobytes())
        file.truncate(COUNT * rows * 4096)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def rewrite(source: Path, target: Path) -> dict[str, int]:
    """Run in a process of its own; bytes of resident memory before and at the peak."""
    from simam_deploy.graph.file.read import read_model
    from simam_deploy.graph.file.write import write_model
    from simam_deploy.graph.lower.portable import lower_portable
    from simam_deploy.graph.recognise import to_nodes

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    model = read_model(source)
    replaced = to_nodes(model)
    lower_portable(model)
    write_model(model, target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"before": before, "peak": peak, "sites": replaced}


def heads(path: Path) -> list[np.ndarray]:
    """The written part of each weight of a model, wherever it is stored."""
    model = onnx.load(path, load_external_data=False)
    found = {}
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            entries = {e.key: e.value for e in tensor.external_data}
            offset = int(entries["offset"])
            assert int(entries["length"]) == 4 * np.prod(tensor.dims)
            found[tensor.name] = np.fromfile(
                path.parent / entries["location"], np.float32, PATTERN, offset=offset
            )
        elif tensor.name.startswith("w"):
            found[tensor.name] = numpy_helper.to_array(tensor).reshape(-1)[:PATTERN]
    return [found[f"w{i}"] for i in range(COUNT)]


@pytest.mark.parametrize(
    "megabytes", [200, pytest.param(2500, marks=pytest.mark.slow)], ids="{}MB".format
)
def test_takes_a_fraction_of_the_models_size(megabytes, tmp_path):
    """Allowed: 3 times the size. Taken: the nodes; the weights are copied file to file."""
    source, target = build(tmp_path, megabytes), tmp_path / "new" / "n.onnx"
    target.parent.mkdir()
    before = heads(source)
    done = subprocess.run(
        [sys.executable, "-m", "tests.graph.file.test_memory", source, target],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)
    assert taken["sites"] == 1
    assert taken["peak"] - taken["before"] < 0.1 * megabytes * 10**6
    assert sum(f.stat().st_size for f in target.parent.iterdir()) > 0.99 * megabytes * 10**6
    for old, new in zip(before, heads(target), strict=True):
        np.testing.assert_array_equal(old, new)


if __name__ == "__main__":
    print(json.dumps(rewrite(Path(sys.argv[1]), Path(sys.argv[2]))))
