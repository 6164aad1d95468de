"""One server with every tiny model, shared by the tests that leave it as it is."""

import pytest

from tests.serve import graphs
from tests.serve.gated import gate
from tests.serve.running import Running, serving

__all__ = ["gate"]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What the servers under test keep is not the user's, nor what he keeps theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for make in (
        graphs.double,
        graphs.two_inputs,
        graphs.picky,
        graphs.free_size,
        graphs.mixes_rows,
        graphs.fixed_batch,
        graphs.slow,
    ):
        make(folder)
    for datatype in graphs.TYPES:
        graphs.of_type(folder, datatype)
    return folder


@pytest.fixture(scope="session")
def served(model_folder) -> Running:
    sources = {path.stem: path for path in model_folder.glob("*.onnx")}
    with serving(sources, max_body=1 << 20) as running:
        yield running
