"""Which GPUs a plan of TensorRT-RTX says it is for; built without one."""

import onnx
import pytest

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)

import tensorrt_rtx as trt
from rtx_plan import architectures, build_plan


@pytest.fixture(scope="module")
def model():
    return onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]> g (float[1,4,8,8] x) => (float[1,4,8,8] y)
        { d = Mul(x, x) y = Relu(d) }"""
    ).SerializeToString()


@pytest.mark.parametrize(
    ("target", "covers"),
    [(None, "sm80 and newer"), ("SM80", "sm80"), ("SM89", "sm89"), ("SM120", "sm120")],
)
def test_the_default_alone_is_for_newer_gpus_too(target, covers, model):
    assert architectures(build_plan(model, target=target)) == covers


def test_no_target_is_a_hopper():
    """Where this changes, gpu.targets and its prediction have one more to name."""
    assert not [name for name in trt.ComputeCapability.__members__ if name.startswith("SM9")]


def test_what_is_no_plan_covers_nothing():
    assert architectures(b"ftrt{}") == ""
