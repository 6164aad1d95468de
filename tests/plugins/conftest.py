"""The kernels as g++ makes them, compiled once for all files that run them."""

import functools
from collections.abc import Callable

import pytest

from tests.plugins.host_detection import HostDetection, build_detection
from tests.plugins.host_kernel import HostKernel, build_host


@pytest.fixture(scope="session")
def kernels(tmp_path_factory) -> Callable[[str], HostKernel]:
    """SimAM's, by the element type."""
    folder = tmp_path_factory.mktemp("host")
    return functools.cache(lambda dtype: build_host(folder, dtype, "-O2"))


@pytest.fixture(scope="session")
def host(tmp_path_factory) -> HostDetection:
    """A detector's."""
    return build_detection(tmp_path_factory.mktemp("detection"))
