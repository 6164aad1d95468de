"""The plugin as TensorRT's ahead-of-time plugins: kernels as PTX that become part of the plan.

Such a plan needs no plugin library and no Python where it runs. The kernels, in plugins/simam/aot,
are the library's own bodies behind entries with the arguments that TensorRT passes: a pointer for
each input, n, c and hw as int32, a pointer for the output. One launch of 256 threads a block serves
every shape, for the kernel is fixed when the plan is built.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simam_deploy.errors import EngineError
from simam_deploy.op import contract

THREADS = 256
"""Of a block, in every entry."""

_TYPES = {"FLOAT": "FP32", "HALF": "FP16", "BF16": "BF16"}
"""What entries, and `AutoTuneCombination`, call the members of `DataType`."""
_LAYOUTS = {"FP32": "LINEAR", "FP16": "LINEAR|HWC8", "BF16": "LINEAR|HWC8"}
"""As the plugin library offers them: plugins/simam/tensorrt/formats_tensorrt.cpp."""
_ATTRIBUTE = npt.NDArray[np.float32]
"""As arrays of one: TensorRT 10 makes a float of one in a way that NumPy 2.4 refuses."""
_TILE_CHANNELS = 32  # kNarrowTile.lanes vectors of 8 halves


def register_kernels(ptx: Path) -> None:
    """Register the three operators with `tensorrt.plugin`, once in a process.

    Args:
        ptx: What scripts/build_plugin makes of plugins/simam/aot.

    Raises:
        EngineError: The file cannot be read, or lacks an entry.
    """
    try:
        text = ptx.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise EngineError(f"cannot read the kernels {ptx}: {error}") from error
    for entry in entries():
        cut_entry(text, entry)
    trt = importlib.import_module("tensorrt")
    plugin = importlib.import_module("tensorrt.plugin")
    for op_type in contract.INPUTS:
        _register(trt, plugin, op_type, text)


def cut_entry(ptx: str, name: str) -> str:
    """Keep one entry of a PTX module: a plan holds the module once for each of its layers.

    Raises:
        EngineError: There is no such entry.
    """
    parts = re.split(r"(?m)^(?=\.visible \.entry )", ptx)
    wanted = [part for part in parts if part.startswith(f".visible .entry {name}(")]
    if len(wanted) != 1:
        raise EngineError(f"the kernels hold no entry {name}: make them with scripts/build_plugin")
    return parts[0] + wanted[0]


def set_constants(ptx: str, values: Mapping[str, float]) -> str:
    """Write values into the float32 constants of a PTX module.

    Raises:
        EngineError: The module has no such constant.
    """
    for name, value in values.items():
        bits = struct.pack(">f", value).hex().upper()
        found = re.compile(rf"(\.const \.align 4 \.f32 {name})\b[^;]*;")
        ptx, count = found.subn(rf"\1 = 0f{bits};", ptx)
        if count != 1:
            raise EngineError(f"the kernels hold no constant {name}")
    return ptx


def entries() -> tuple[str, ...]:
    """Name the entries that the kernels have."""
    return tuple(
        _entry(op_type, dtype, layout)
        for op_type in contract.INPUTS
        for dtype, layouts in _LAYOUTS.items()
        for layout in layouts.split("|")
    )


def _entry(op_type: str, dtype: str, layout: str) -> str:
    return f"{op_type}_{dtype}_{layout}"


def _register(trt: Any, plugin: Any, op_type: str, ptx: str) -> None:
    """Register one operator; TensorRT passes inputs and attributes in the contract's order."""
    tensor, count = plugin.TensorDesc, len(contract.INPUTS[op_type])

    def describe(x: Any, *_: Any, **__: Any) -> Any:
        return x.like()

    def offer(x: Any, *_: Any) -> Any:
        return [_combination(plugin, op_type, _TYPES[x.dtype.name])]

    def launch(x: Any, *rest: Any) -> Any:
        values = (float(value[0]) for value in rest[count - 1 : -2])
        attributes = dict(zip(contract.ATTRIBUTES[op_type], values, strict=True))
        entry = _entry(op_type, _TYPES[x.dtype.name], x.format.name)
        kernel = set_constants(cut_entry(ptx, entry), _checked(op_type, attributes))
        return entry, kernel, *geometry(plugin, x)

    name = f"{contract.DOMAIN}::{op_type}"
    attributes = dict.fromkeys(contract.ATTRIBUTES[op_type], _ATTRIBUTE)
    outputs = {"outputs": tuple[plugin.TensorDesc]}
    built = tuple[str, str, plugin.KernelLaunchParams, plugin.SymIntExprs]
    plugin.register(name)(_signed(describe, op_type, tensor, attributes, tensor))
    plugin.autotune(name)(
        _signed(offer, op_type, tensor, outputs, list[plugin.AutoTuneCombination])
    )
    plugin.aot_impl(name)(
        _signed(launch, op_type, tensor, {**attributes, **outputs, "tactic": int}, built)
    )


def _signed(
    function: Callable[..., Any],
    op_type: str,
    tensor: type,
    others: Mapping[str, Any],
    result: Any,
) -> Callable[..., Any]:
    """Give a function the signature that TensorRT reads an operator's inputs from."""
    annotations = {**dict.fromkeys(contract.INPUTS[op_type], tensor), **others}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(n, kind, annotation=a) for n, a in annotations.items()]
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        parameters, return_annotation=result
    )
    return function


def _combination(plugin: Any, op_type: str, dtype: str) -> Any:
    """Offer the type that x has in its layouts; scale and bias are float32, in line."""
    inputs = contract.INPUTS[op_type]
    vectors = [name in ("scale", "bias") for name in inputs] + [False]  # and the output
    types = ["FP32" if vector else dtype for vector in vectors]
    layouts = ["LINEAR" if vector else _LAYOUTS[dtype] for vector in vectors]
    return plugin.AutoTuneCombination(", ".join(types), ", ".join(layouts))


def _checked(op_type: str, attributes: Mapping[str, float]) -> Mapping[str, float]:
    """Refuse values that the kernels are not made for.

    Raises:
        EngineError: Lambda is negative or not finite, or clip_min above clip_max.
    """
    e_lambda = attributes[contract.LAMBDA_ATTRIBUTE]
    clip = [attributes[name] for name in contract.CLIP_ATTRIBUTES if name in attributes]
    if not (math.isfinite(e_lambda) and e_lambda >= 0 and clip == sorted(clip)):
        raise EngineError(f"{op_type} cannot be computed with {dict(attributes)}")
    return attributes


def geometry(plugin: Any, x: Any) -> tuple[Any, Any]:
    """Give a launch's parameters, and the arguments n, c and hw, as expressions of x's sizes.

    Args:
        plugin: The module `tensorrt.plugin`.
        x: Its descriptor of x, (N, C, H, W) in every layout.
    """
    n, c, h, w = x.shape_expr
    hw = h * w
    blocks = n * plugin.cdiv(c, _TILE_CHANNELS)
    if x.format.name == "LINEAR":
        blocks = plugin.cdiv(n * c, _planes_to_a_block(h, w))
    launch = plugin.KernelLaunchParams()
    launch.grid_x = plugin.max(blocks, 1)  # an empty batch is no launch that CUDA takes
    launch.block_x = THREADS
    arguments = plugin.SymIntExprs(3)
    for index, size in enumerate((n, c, hw)):
        arguments[index] = plugin.SymInt32(size)
    return launch, arguments


def _planes_to_a_block(h: Any, w: Any) -> int:
    """Repeat groupPlanes of plugins/simam/kernel/choose.h; 1 where the size is not known yet."""
    if not (h.is_constant and w.is_constant):
        return 1
    pixels = h.constant_value() * w.constant_value()
    if pixels > 256:
        return 1
    return 64 if pixels <= 64 else 16
