"""ONNX Runtime on the provider that was asked for, or not at all."""

import numpy as np
import onnxruntime
import pytest

from simam_deploy.errors import InputError
from simam_deploy.runtime.onnx_runner import PROVIDERS, OnnxRunner
from tests.engine.conftest import write_onnx


def test_the_cpu(tmp_path):
    with OnnxRunner(write_onnx(tmp_path / "m.onnx"), PROVIDERS["cpu"]) as runner:
        assert "CPUExecutionProvider" in runner.name
        assert runner.run({"x": np.ones((1, 4, 8, 8), np.float32)})["y"][0, 0, 0, 0] == 4


@pytest.mark.parametrize("name", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_is_not_replaced(name, tmp_path):
    if PROVIDERS[name][0] in onnxruntime.get_available_providers():
        pytest.skip(f"this ONNX Runtime has {name}")
    with pytest.raises(InputError, match=rf"no {PROVIDERS[name][0]} here, only .*CPUExecution"):
        OnnxRunner(write_onnx(tmp_path / "m.onnx"), PROVIDERS[name])


def test_a_provider_that_fails_while_it_is_opened_is_not_replaced(tmp_path, monkeypatch):
    """ONNX Runtime itself warns and goes on with the CPU, as here, where it is merely listed."""
    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"), pytest.raises(InputError):
        OnnxRunner(write_onnx(tmp_path / "m.onnx"), PROVIDERS["cuda"])
