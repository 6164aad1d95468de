"""Registration with the Python part of NVIDIA's bindings; their compiled part is faked.

The bindings are looked for in the wheels that $TENSORRT_BINDINGS names (several, like PATH), which
need not be installed: pip download --no-deps tensorrt_cu13_bindings.
"""

import enum
import importlib
import importlib.util
import operator
import os
import re
import sys
import types
from types import SimpleNamespace

import numpy as np
import pytest

from simam_deploy.engine.build import aot
from simam_deploy.errors import EngineError
from simam_deploy.op import contract
from tests.engine.conftest import forget

WHEELS = [w for w in os.environ.get("TENSORRT_BINDINGS", "").split(os.pathsep) if w]
DataType = enum.Enum("DataType", "FLOAT HALF BF16")
TensorFormat = enum.Enum("TensorFormat", "LINEAR HWC8")
pytestmark = [  # Of the bindings themselves.
    pytest.mark.filterwarnings("ignore:Conversion of an array with ndim > 0"),
    pytest.mark.filterwarnings("ignore:invalid escape sequence"),
]
FIELD_TYPES = (
    "INT8", "INT16", "INT32", "INT64", "FLOAT16", "FLOAT32", "FLOAT64", "CHAR", "UNKNOWN",
)  # fmt: skip
OPERATIONS = {
    "SUM": operator.add,
    "SUB": operator.sub,
    "PROD": operator.mul,
    "MAX": max,
    "MIN": min,
    "FLOOR_DIV": operator.floordiv,
    "CEIL_DIV": lambda a, b: -(-a // b),
}


class Expression:
    """IDimensionExpr: a value, which TensorRT knows while it builds or does not."""

    def __init__(self, value, constant=True):
        self.value, self.constant = value, constant

    def is_constant(self):
        return self.constant

    def get_constant_value(self):
        assert self.constant
        return self.value


class Builder:
    """IExprBuilder."""

    def constant(self, value):
        return Expression(value)

    def operation(self, name, a, b):
        return Expression(OPERATIONS[name](a.value, b.value), a.constant and b.constant)


class Compiled(types.ModuleType):
    """The compiled part: a class of its name for whatever is asked for, but for what computes."""

    def __init__(self, folder):
        super().__init__("tensorrt")
        self.__path__ = [folder]
        self.creators = {}
        self.IDimensionExpr = Expression
        self.DimensionOperation = SimpleNamespace(**{name: name for name in OPERATIONS})
        self.DimensionOperation.EQUAL = self.DimensionOperation.LESS = None
        self.DataType, self.TensorFormat = DataType, TensorFormat
        self.PluginFieldType = types.SimpleNamespace(
            **{
                n: n
                for n in [
                    "INT8",
                    "INT16",
                    "INT32",
                    "INT64",
                    "FLOAT16",
                    "FLOAT32",
                    "FLOAT64",
                    "CHAR",
                    "UNKNOWN",
                ]
            }
        )
        self.PluginArgType = self.PluginArgDataType = SimpleNamespace(
            INT=0, INT8=0, INT16=1, INT32=2
        )
        self.Dims = type("Dims", (), {"MAX_DIMS": 8})
        self.DimsExprs = lambda length: [None] * length
        self.PluginField = lambda name, data, kind: SimpleNamespace(name=name)
        self.PluginFieldCollection = list
        self.QuickPluginCreationRequest = enum.Enum(
            "QuickPluginCreationRequest", "UNKNOWN STRICT_AOT STRICT_JIT PREFER_AOT PREFER_JIT"
        )
        self.Logger = type("Logger", (), {"WARNING": 0, "log": lambda *_: None})

    def get_plugin_registry(self):
        return SimpleNamespace(
            register_creator=lambda creator, _: self.creators.update({creator.name: creator}),
            get_creator=lambda name, *_: self.creators[name],
        )

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, type(name, (), {}))
        return self.__dict__[name]


def bindings():
    """Folders of the bindings' Python files."""
    if WHEELS:
        return [f"{wheel}/tensorrt_bindings" for wheel in WHEELS]
    spec = importlib.util.find_spec("tensorrt_bindings")
    return list(spec.submodule_search_locations or ()) if spec else []


@pytest.fixture(params=bindings() or [None])
def tensorrt(request, monkeypatch):
    if request.param is None:
        pytest.skip("no bindings of TensorRT: see the top of this file")
    kept = {n: m for n, m in sys.modules.items() if n.split(".")[0] == "tensorrt"}
    forget("tensorrt")
    module = sys.modules["tensorrt"] = Compiled(request.param)
    yield module
    forget("tensorrt")
    sys.modules.update(kept)


@pytest.fixture
def registered(tensorrt, aot_ptx):
    aot.register_kernels(aot_ptx)
    return tensorrt


ATTRIBUTES = {"e_lambda": 1e-4, "clip_min": 0.0, "clip_max": 6.0}


def create(trt, op_type, attributes=ATTRIBUTES):
    """A plugin as the ONNX parser makes it: neither implementation preferred."""
    fields = [
        SimpleNamespace(name=name, data=np.array([attributes[name]], np.float32))
        for name in contract.ATTRIBUTES[op_type]
    ]
    request = trt.QuickPluginCreationRequest.UNKNOWN
    return trt.creators[op_type].create_plugin(op_type, contract.DOMAIN, fields, None, request)


def described(op_type, shape, dtype, layout):
    """Inputs and the output: (shape, type, layout) each."""
    x = (shape, dtype, layout)
    vector = ((shape[1],), DataType.FLOAT, TensorFormat.LINEAR)
    return [vector if n in ("scale", "bias") else x for n in contract.INPUTS[op_type]] + [x]


def build(trt, plugin, op_type, shape, free, dtype, layout):
    """The calls that TensorRT makes, in its order.

    Returns:
        What the plugin offers, the launch, the extra arguments, and the kernel.
    """
    tensors = described(op_type, shape, dtype, layout)
    count = len(tensors) - 1
    types_ = [t for _, t, _ in tensors[:-1]]
    ranks = [len(s) for s, _, _ in tensors[:-1]]
    assert plugin.get_output_data_types(types_, ranks) == [dtype]
    inputs = [
        [Expression(v, not (len(s) == 4 and axis in free)) for axis, v in enumerate(s)]
        for s, _, _ in tensors[:-1]
    ]
    (output,) = plugin.get_output_shapes(inputs, [], Builder())
    assert tuple(e.value for e in output) == shape
    in_out = [trt.DynamicPluginTensorDesc() for _ in tensors]
    for desc, (dims, kind, form) in zip(in_out, tensors, strict=True):
        desc.desc = SimpleNamespace(dims=dims, type=kind, format=form, scale=0.0)
    offers = plugin.get_supported_format_combinations(in_out, count)
    plugin.configure_plugin(in_out[:-1], in_out[-1:])
    assert plugin.get_valid_tactics() == []
    plugin.set_tactic(0)
    launch, extra = SimpleNamespace(), Extra()
    plugin.get_launch_params(inputs, in_out, count, launch, extra, Builder())
    kernel = plugin.get_kernel([d.desc for d in in_out[:-1]], [in_out[-1].desc])
    return [(o.type, o.format) for o in offers], launch, extra, kernel


class Extra(dict):
    """ISymExprs."""

    def values(self):
        return [self[i].expr.value for i in range(self.nbSymExprs)]


CASES = [
    ("SimAM", (2, 67, 7, 7), (), DataType.FLOAT, TensorFormat.LINEAR, 3),
    ("SimAM", (2, 67, 7, 7), (0,), DataType.HALF, TensorFormat.LINEAR, 3),
    ("SimAM", (2, 67, 7, 7), (0, 2, 3), DataType.HALF, TensorFormat.LINEAR, 134),
    ("SimAMEpilogue", (2, 67, 14, 14), (0,), DataType.BF16, TensorFormat.LINEAR, 9),
    ("SimAMEpilogue", (3, 67, 56, 56), (0,), DataType.HALF, TensorFormat.LINEAR, 201),
    ("SimAMResidualEpilogue", (3, 67, 56, 56), (0,), DataType.HALF, TensorFormat.HWC8, 9),
    ("SimAMResidualEpilogue", (0, 64, 7, 7), (0,), DataType.BF16, TensorFormat.HWC8, 1),
]


@pytest.mark.parametrize(("op_type", "shape", "free", "dtype", "layout", "blocks"), CASES)
def test_what_tensorrt_is_told(registered, op_type, shape, free, dtype, layout, blocks):
    plugin = create(registered, op_type)
    offers, launch, extra, (name, ptx) = build(
        registered, plugin, op_type, shape, free, dtype, layout
    )
    grid = [getattr(launch, f"{part}_{axis}").expr.value
            for part in ("grid", "block") for axis in "xyz"]  # fmt: skip
    assert grid == [blocks, 1, 1, aot.THREADS, 1, 1]
    assert launch.shared_mem.expr.value == 0
    assert extra.values() == [shape[0], shape[1], shape[2] * shape[3]]
    assert [extra[i].dtype for i in range(3)] == [2, 2, 2], "INT32"
    assert re.findall(r"\.entry (\w+)\(", ptx.decode()) == [name]
    assert f"{op_type}_" in name and name.endswith(layout.name)
    assert ".f32 e_lambda = 0f38D1B717;" in ptx.decode()
    layouts = [TensorFormat.LINEAR] + [TensorFormat.HWC8] * (dtype is not DataType.FLOAT)
    wanted = [
        (kind, TensorFormat.LINEAR if len(dims) == 1 else offered)
        for offered in layouts
        for dims, kind, _ in described(op_type, shape, dtype, layout)
    ]
    assert offers == wanted


@pytest.mark.parametrize(
    "wrong", [{"e_lambda": -1.0}, {"e_lambda": np.inf}, {"e_lambda": np.nan}, {"clip_min": 7.0}]
)
def test_values_that_no_kernel_is_made_for(registered, wrong):
    plugin = create(registered, "SimAMEpilogue", ATTRIBUTES | wrong)
    with pytest.raises(EngineError, match="SimAMEpilogue cannot be computed with"):
        build(registered, plugin, "SimAMEpilogue", (1, 8, 7, 7), (), DataType.HALF,
              TensorFormat.LINEAR)  # fmt: skip


@pytest.mark.parametrize("text", [None, "not PTX", "h\xe9"])
def test_a_file_without_kernels(tmp_path, text):
    ptx = tmp_path / "simam_aot.ptx"
    if text is not None:
        ptx.write_text(text, encoding="utf-8")
    with pytest.raises(EngineError, match=r"cannot read the kernels|hold no entry"):
        aot.register_kernels(ptx)
