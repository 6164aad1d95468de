"""A manifest may say anything: the artifact is refused in one line, or handed on."""

import shutil

import pytest

from simam_deploy.core.facts import FACTS
from simam_deploy.errors import SimamError
from simam_deploy.serve.deploy import write_kserve, write_triton
from tests.core.wrong import WRONG


@pytest.mark.parametrize("kind", ["make_onnx", "make_plan"])
@pytest.mark.parametrize("key", FACTS)
def test_no_fact_is_a_traceback(key, kind, request, tmp_path):
    make = request.getfixturevalue(kind)
    for value in WRONG:
        path = make(**{key: value})
        try:
            write_kserve(path, tmp_path / "s.yaml", storage_uri="s3://b/m")
            write_triton(path, tmp_path / "out")
        except SimamError as error:
            assert "\n" not in str(error)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        (tmp_path / "s.yaml").unlink(missing_ok=True)
