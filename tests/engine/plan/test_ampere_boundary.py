"""Where "ampere+" begins: sm80 is the first that such a plan is built for, and that may load it."""

import json

import pytest

from simam_deploy.core.manifest import manifest_path
from simam_deploy.core.specs import ShapeRange
from simam_deploy.engine.build.build import build_engine
from simam_deploy.engine.plan.preflight import check_plan
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import EngineError, UsageError
from simam_deploy.runtime.gpu import Gpu
from tests.engine.conftest import write_onnx

PROFILE = (ShapeRange("x", (1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 8, 8)),)


def built(folder, *targets):
    """A plan of the fake TensorRT for a set of GPUs."""
    onnx = write_onnx(folder / "m.onnx")
    output = folder / "m.engine"
    request = BuildRequest(onnx, output, "tensorrt", targets=targets, profiles=(PROFILE,))
    return build_engine(request).path


def loads_on(plan, sm):
    try:
        check_plan(plan, Gpu("A GPU", sm, 1 << 34), lambda flavour: None)
    except EngineError as error:
        assert f"was built for ampere+; this is a A GPU ({sm})" in str(error)
        return False
    return True


def test_a_plan_for_ampere_and_later(gpu, tmp_path):
    plan = built(tmp_path, "sm80", "sm90")
    assert json.loads(manifest_path(plan).read_text())["targets"] == ["ampere+"]
    loading = {sm: loads_on(plan, sm) for sm in ("sm72", "sm75", "sm79", "sm80", "sm86", "sm120")}
    assert [sm for sm, loaded in loading.items() if loaded] == ["sm80", "sm86", "sm120"]


@pytest.mark.parametrize("older", ["sm75", "sm79"])
def test_no_plan_for_ampere_and_what_came_before(older, gpu, tmp_path):
    with pytest.raises(UsageError, match="several from sm80 on"):
        built(tmp_path, older, "sm80")
