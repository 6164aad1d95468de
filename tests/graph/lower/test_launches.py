"""Kernels in a TensorRT-RTX plan, whose builder needs no GPU. The plan's text is no interface:
a new version may move these figures, and then the arrangements want measuring anew."""

import functools

import onnx_ir as ir
import pytest

from simam_deploy.graph.detect import STANDARD
from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.prepare import for_engine
from simam_deploy.precision.half.half import to_half

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)

from bench.engines import YOLO_SHAPE, launches, traced, traced_yolo

# A network of drawn weights by batch, one node a SimAM; each test lowers a clone.
network = functools.cache(traced)


@pytest.mark.parametrize(
    ("lowering", "precision"),
    [
        ("flat", "fp16"),
        pytest.param("flat", "fp32", marks=pytest.mark.slow),
        pytest.param("function", "fp16", marks=pytest.mark.slow),
        ("function", "fp32"),
    ],
)
def test_resnet50_has_83_launches_or_fewer(lowering, precision):
    """The published nodes give 135 in fp32 and 90 in fp16; no SimAM at all 58."""
    model = network("resnet50", "batch").clone()
    if precision == "fp16":
        to_half(model, ir.DataType.FLOAT16)
    assert LOWERINGS[lowering](model) == 16
    assert launches(model) <= 83


@pytest.mark.parametrize(
    ("name", "precision", "most"),
    [
        ("resnet18", "fp32", 32),
        *(
            pytest.param(name, precision, most, marks=pytest.mark.slow)
            for name, most in (("resnet50", 74), ("mobilenet_v2", 74), ("cifar_preresnet56", 98))
            for precision in ("fp32", "fp16")
        ),
    ],
)
def test_wide_has_one_kernel_a_site(name, precision, most):
    """As many as with the plugin, and without one."""
    model = network(name, "batch").clone()
    if precision == "fp16":
        to_half(model, ir.DataType.FLOAT16)
    LOWERINGS["wide"](model)
    assert launches(model) <= most


def without_simam(model):
    expand(model, lambda tape, x, e_lambda, ratio: tape.op("Identity", x), rank=0)
    return launches(model)


def test_what_wide_adds_is_a_kernel_a_site():
    model = network("resnet18", "batch")
    wide = model.clone()
    sites = LOWERINGS["wide"](wide)
    assert launches(wide) - without_simam(model.clone()) == sites == 8


def test_a_yolo_has_no_more_launches_as_wide_than_in_portable_ops():
    model = traced_yolo(("batch", *YOLO_SHAPE))
    forms = {name: model.clone() for name in ("wide", "portable")}
    for name, form in forms.items():
        assert LOWERINGS[name](form) == 2
    wide, portable = map(launches, forms.values())
    assert wide <= portable


@pytest.mark.parametrize(("form", "most"), [("wide", 10), ("flat", 9), ("portable", 23)])
def test_free_sides_of_a_yolo(form, most):
    model = traced_yolo((1, 3, "height", "width"))
    for_engine(model, form, STANDARD, plugin=False)
    assert launches(model) == most


def test_a_static_batch_of_one_transposes_nothing():
    """Without the halving, whose only use this is, 39."""
    model = network("resnet18", 1).clone()
    LOWERINGS["flat"](model)
    assert launches(model) <= 35


def test_the_count_counts():
    """Reduced over axes 2 and 3, a site costs three launches more."""
    model = network("resnet18", 1).clone()
    LOWERINGS["portable"](model)
    assert launches(model) >= 50
