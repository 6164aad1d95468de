"""Libraries that are not here, and the files that engines are built from."""

import importlib
import importlib.util
import sys
from pathlib import Path

import onnx
import pytest

FAKES = Path(__file__).parent / "fakes"
RECORDED = sorted(p.stem for p in (Path(__file__).parent / "bindings").glob("tensorrt-*.json"))
RECORDED_RTX = sorted(p.stem for p in (Path(__file__).parent / "bindings").glob("tensorrt_rtx-*"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "simam-deploy" / "engines"


def forget(*packages):
    for name in [n for n in sys.modules if n.split(".")[0] in packages]:
        del sys.modules[name]


@pytest.fixture
def fakes(monkeypatch):
    """The stand-ins in front of the search path, imported anew and forgotten afterwards."""
    kept = {n: m for n, m in sys.modules.items() if n.split(".")[0] in ("tensorrt", "cuda")}
    forget("tensorrt", "cuda")
    monkeypatch.syspath_prepend(FAKES)
    monkeypatch.setenv("FAKE_TENSORRT", RECORDED[-1])
    yield monkeypatch
    forget("tensorrt", "cuda")
    sys.modules.update(kept)


@pytest.fixture(params=[*RECORDED, "installed"])
def tensorrt(request, monkeypatch):
    """TensorRT of each recorded version, and the installed one where there is one."""
    if request.param != "installed":
        fakes = request.getfixturevalue("fakes")
        fakes.setenv("FAKE_TENSORRT", request.param)
    elif importlib.util.find_spec("tensorrt") is None:
        pytest.skip("TensorRT is missing: pip install 'simam-deploy[tensorrt-cu13]'")
    return importlib.import_module("tensorrt")


@pytest.fixture
def gpu(fakes):
    """A GPU of sm89 that computes in host memory; gives the fake runtime's records."""
    fakes.setenv("FAKE_SM", "89")
    return importlib.import_module("cuda.bindings.runtime")


@pytest.fixture(params=RECORDED_RTX)
def rtx(request, gpu, fakes):
    """TensorRT-RTX of each recorded version, as a GPU has it: what runs is the stand-in too."""
    fakes.setenv("FAKE_TENSORRT", request.param)
    spec = importlib.util.spec_from_file_location("tensorrt_rtx", FAKES / "tensorrt.py")
    module = importlib.util.module_from_spec(spec)
    fakes.setitem(sys.modules, "tensorrt_rtx", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def digits_onnx(digits, tmp_path_factory):
    """The digits network as portable ONNX, its batch free."""
    from simam_deploy import export_onnx

    return export_onnx(digits, tmp_path_factory.mktemp("digits") / "digits.onnx").path


def write_onnx(path, body="y = Conv(x, w)", inputs="float[n,4,8,8] x", opset=18):
    """Write a graph of one convolution, or of `body`, with a weight `w`."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {opset}]>
        g ({inputs}) => (float[n,4,8,8] y) <float[4,4,1,1] w = {{{",".join(["1"] * 16)}}}>
        {{ {body} }}"""
    )
    path.write_bytes(model.SerializeToString())
    return path
