"""What files and their makers call things reaches the terminal escaped, whatever the command."""

import json
import os
import re
import signal
import subprocess
import sys

import onnx
import pytest
import torch

from simam_deploy.cli import main
from simam_deploy.report.load_text import load_table
from simam_deploy.serve.load import LoadReport, Plan
from tests.engine.conftest import FAKES, RECORDED

HOSTILE = "s\x1b[31m\x07\x7f\x9b2K\u202e\u2066\rt\nFORGED: passed"
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
ODD_FILE = os.fsdecode(b"\x1b[2Jodd\xff\x9b.onnx")

SIMAM = """x = Conv(image, w)
    m = ReduceMean(x, axes) d = Sub(x, m) e = Mul(d, d) s = ReduceSum(e, axes)
    v = Div(s, n63) l = Add(v, lam) q = Mul(l, four) f = Div(e, q) g = Add(f, half)
    a = Sigmoid(g) z = Mul(x, a)"""
NEAR = """m_ = ReduceMean(z, axes) d_ = Sub(z, m_) e_ = Mul(d_, d_) s_ = ReduceSum(e_, axes)
    v_ = Div(s_, n64) l_ = Add(v_, lam) q_ = Mul(l_, four) f_ = Div(e_, q_) g_ = Add(f_, half)
    a_ = Sigmoid(g_) y = Mul(z, a_)"""
STORED = """int64[2] axes = {2, 3}, float n63 = {63}, float n64 = {64}, float lam = {0.1},
    float four = {4}, float half = {0.5}, float unused = {1},
    float[4,4,1,1] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}"""


def hostile(path):
    """A site and a near miss whose every name is hostile."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,4,8,8] image) => (float[n,4,8,8] y) <{STORED}> {{ {SIMAM} {NEAR} }}"""
    )
    graph = model.graph
    for node in graph.node:
        node.name = f"{node.output[0]}{HOSTILE}"
        node.input[:] = [f"{name}{HOSTILE}" for name in node.input]
        node.output[:] = [f"{name}{HOSTILE}" for name in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = f"{value.name}{HOSTILE}"
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = f"n{HOSTILE}"
    model.producer_name = HOSTILE
    model.metadata_props.add(key=f"by{HOSTILE}", value=HOSTILE)
    model.metadata_props.add(key="simam.arch", value=HOSTILE)
    path.write_bytes(model.SerializeToString())
    return path


def run(*arguments, module="simam_deploy", **environment):
    return subprocess.run(
        [sys.executable, "-m", module, *map(os.fsencode, map(str, arguments))],
        capture_output=True,
        timeout=300,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )


@pytest.fixture
def here(capfdbinary):
    """Run a command in this process: its descriptors get the same, without 2 s of imports."""

    def run(*arguments):
        capfdbinary.readouterr()
        code = main([*map(str, arguments)])
        return subprocess.CompletedProcess(arguments, code, *capfdbinary.readouterr())

    return run


def shown(done):
    """What a terminal gets; nothing in it steers it, or stands where a line of ours would."""
    text = (done.stdout + b"\n" + done.stderr).decode()
    assert not UNSAFE.search(text), ascii(text)
    assert not re.search(r"^FORGED", text, re.MULTILINE), ascii(text)
    assert "Traceback" not in text
    return text


@pytest.fixture
def file(tmp_path):
    return hostile(tmp_path / "m.onnx")


def test_inspect(file):
    done = run("inspect", file)
    assert done.returncode == 0
    assert r"\x1b[31m" in shown(done)


def test_inspect_as_json(file):
    done = run("inspect", file, "--json")
    assert shown(done)
    assert any(HOSTILE in site["name"] for site in json.loads(done.stdout)["sites"])


def test_export(file, tmp_path):
    done = run("export", file, "-o", tmp_path / "out.onnx")
    assert done.returncode == 0, done.stderr
    assert r"\x1b[31m" in shown(done)


def test_export_in_half(file, tmp_path, here):
    done = here("export", file, "-o", tmp_path / "out.onnx", "--precision", "fp16")
    assert done.returncode == 0, done.stderr
    assert r"\x1b[31m" in shown(done)


def test_export_as_json(file, tmp_path, here):
    done = here("export", file, "-o", tmp_path / "out.onnx", "--json")
    assert shown(done)
    assert HOSTILE in json.loads(done.stdout)["inputs"][0]["name"]


def test_validate_and_its_plot(file, tmp_path, here):
    other = hostile(tmp_path / "other.onnx")
    done = here("validate", file, other, "--plot", tmp_path / "gates.html")
    assert done.returncode == 0, done.stderr
    assert r"\x1b[31m" in shown(done)
    assert not UNSAFE.search((tmp_path / "gates.html").read_text(encoding="utf-8"))


def test_build(file, tmp_path):
    fakes = {"PYTHONPATH": str(FAKES), "FAKE_TENSORRT": RECORDED[-1], "FAKE_SM": "89"}
    done = run("build", file, "--backend", "tensorrt", "--no-cache", **fakes)
    assert r"\x1b[31m" in shown(done)


def test_what_a_library_says_of_a_graph_that_it_does_not_take(file, tmp_path, here):
    model = onnx.load(file)
    model.graph.node[0].op_type = f"No{HOSTILE}"
    file.write_bytes(model.SerializeToString())
    done = here("export", file, "-o", tmp_path / "out.onnx")
    assert done.returncode == 1
    assert shown(done)


def test_what_a_library_says_of_a_graph_that_fails_while_it_runs(file, tmp_path, here):
    """ONNX Runtime logs it from C++, past every stream of Python's."""
    model = onnx.load(file)
    bad = onnx.helper.make_tensor(f"bad{HOSTILE}", onnx.TensorProto.INT64, [2], [3, 5])
    last = model.graph.node[-1].output[0]
    model.graph.node[-1].output[0] = "inner"
    name = f"reshape{HOSTILE}"
    model.graph.node.append(onnx.helper.make_node("Reshape", ["inner", bad.name], [last], name))
    model.graph.initializer.append(bad)
    dims = model.graph.output[0].type.tensor_type.shape.dim
    del dims[2:]
    for dim, size in zip(dims, (3, 5), strict=True):
        dim.dim_value = size
    file.write_bytes(model.SerializeToString())
    done = here("export", file, "-o", tmp_path / "out.onnx")
    assert done.returncode == 1
    assert shown(done)


def test_names_of_a_checkpoint(tmp_path, here):
    torch.save({f"w{HOSTILE}": torch.ones(3)}, tmp_path / "m.pth")
    done = here("export", tmp_path / "m.pth")
    assert done.returncode == 1
    assert shown(done)


@pytest.mark.parametrize("command", ["inspect", "build", "serve", "export -o m.onnx"])
def test_a_file_name_that_is_no_text(tmp_path, command):
    """Not UTF-8: Python holds it with lone surrogates, which no terminal's encoding knows."""
    done = run(*command.split(), tmp_path / ODD_FILE)
    assert done.returncode == 1
    assert r"\x1b[2Jodd" in shown(done)


def test_class_names(file, tmp_path, here):
    (tmp_path / "names.txt").write_text(f"cat\nd{HOSTILE}\n", encoding="utf-8")
    done = here("export", file, "-o", tmp_path / "out.onnx", "--labels", tmp_path / "names.txt")
    assert done.returncode == 1
    assert shown(done)


@pytest.mark.parametrize(
    "arguments", [["\x1b[31m"], ["export", "--\x1b[31m"], ["export", "m", "--format", "\x1b[31m"]]
)
def test_words_of_the_command_line(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert r"\x1b[31m" in shown(done)


def test_an_unforeseen_error(tmp_path):
    """Its traceback, too, goes to a terminal."""
    (tmp_path / "broken.py").write_text(
        "import sys\nfrom simam_deploy.cli import doctor\n"
        "def broken(*_): raise RuntimeError('\\x1b[31m')\n"
        "doctor._examine = broken\nsys.exit(doctor.main([]))\n"
    )
    done = run(module="broken", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert rb"RuntimeError: \x1b[31m" in done.stderr


def test_what_a_server_says(tmp_path):
    """A model's file is damaged while it is served, and loaded anew."""
    names = hostile(tmp_path / "m.onnx")
    command = [sys.executable, "-m", "simam_deploy", "serve", names, "--no-grpc", "--http-port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as server:
        try:
            said = until(b"ready", server.stderr)
            names.write_bytes(onnx.ModelProto(producer_name=HOSTILE).SerializeToString())
            server.send_signal(signal.SIGHUP)
            said += until(b"goes on", server.stderr)
        finally:
            server.kill()
    assert not UNSAFE.search(said.decode())


def until(word, stream):
    """Read lines up to the one that has the word, or the end."""
    read = []
    for line in stream:
        read.append(line)
        if word in line:
            return b"".join(read)
    raise AssertionError(b"".join(read))


def test_what_a_server_says_of_itself():
    """`simam load` prints what is at the other end of its wire."""
    report = LoadReport(
        target="t", model=HOSTILE, plan=Plan(), seconds=1.0, answered=0, unsent=0,
        errors={"503": 1}, messages={"503": HOSTILE}, latency_ms={}, client_cpu=0.0,
        interrupted=False,
    )  # fmt: skip
    table = load_table(report)
    assert not UNSAFE.search(table)
    assert "\nFORGED" not in table
