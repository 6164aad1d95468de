import importlib
import sys

from simam_deploy.runtime.gpu import Gpu, Gpus, find_gpus
from tests.engine.conftest import fakes, gpu

__all__ = ["fakes", "gpu"]


def test_a_device(gpu):
    assert find_gpus() == Gpus((Gpu("Fake GPU", "sm89", 1 << 34),), "13.0")


def test_a_driver_without_a_device(fakes):
    assert find_gpus() == Gpus((), "", "the NVIDIA driver answers CUDA_ERROR_NO_DEVICE (100)")


def test_without_a_driver(gpu, monkeypatch):
    """cuda-bindings looks for libcuda at the first call."""
    driver = importlib.import_module("cuda.bindings.driver")

    def missing(flags):
        raise OSError("libcuda.so.1")

    monkeypatch.setattr(driver, "cuInit", missing)
    assert find_gpus().reason == "no NVIDIA driver is installed"


def test_without_the_bindings(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    assert "cuda-bindings is missing: pip install" in find_gpus().reason
