"""What is particular about TensorRT-RTX."""

import ctypes
import os
import subprocess
import sys

import pytest

from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.engine.options import EngineOptions
from simam_deploy.op.find import find_plugin
from simam_deploy.pipeline.build import build

trt = pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)
RTX = FLAVOURS["tensorrt_rtx"]


def test_the_library_is_found_under_the_name_that_its_parser_opens(tmp_path):
    """Without the link the parser ends the process at the first plugin node."""
    with pytest.raises(OSError, match="cannot open shared object"):
        ctypes.CDLL("libtensorrt_rtx.so")
    code = "import ctypes; ctypes.CDLL('libtensorrt_rtx.so')"
    environment = {**os.environ, **RTX.environment(str(tmp_path))}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_what_was_on_the_search_path_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/before")
    assert RTX.environment(str(tmp_path)) == {"LD_LIBRARY_PATH": f"{tmp_path}:/before"}


def test_the_plugin_that_is_built_here(digits_onnx, tmp_path):
    plugin = find_plugin("tensorrt_rtx")
    if plugin is None:
        pytest.skip("the plugin is not built: scripts/build_plugin")
    options = EngineOptions(backend="rtx", targets=("sm89",), plugin=str(plugin))
    artifact = build(digits_onnx, tmp_path / "d.engine", options)
    assert (artifact.audit.plugins, artifact.audit.fused, artifact.audit.sites) == (9, 9, 9)
    assert artifact.plugin == plugin.name


def test_the_runtime_has_what_the_runner_asks_for():
    """The runner has not met a plan of this library here: running wants a GPU."""
    for name in ("is_stream_capturable", "set_optimization_profile_async", "execute_async_v3"):
        assert hasattr(trt.IExecutionContext, name)
    assert "stream" in trt.IExecutionContext.is_stream_capturable.__doc__
    assert isinstance(trt.Runtime.engine_host_code_allowed, property)
