"""What a plan will launch, read from what the library tells of it.

With a device there is the engine inspector. Without one there is the readable listing inside a
TensorRT-RTX plan, which is not documented: whatever of it is not understood is left unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from simam_deploy.core.specs import PRECISIONS

Kind = Literal["product", "plugin", "move", "other"]
"""A convolution or matrix product, a plugin, a copy in another layout or type, or the rest."""


@dataclass(frozen=True)
class Launch:
    """One kernel: its kind, the precision a product computes in, the ONNX nodes in it, its tensors.

    `origin` is the library's own text on the ONNX nodes that the kernel came from, `name` its name
    for the kernel.
    """

    kind: Kind
    precision: str | None
    origin: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True)
class PlanFacts:
    """The launches of a plan, and where they are known from; they are no count if any is unknown.

    Attributes:
        source: What told them.
        launches: In order.
        unknown: Kinds of operations that may be launches or not, for all that is known here.
    """

    source: str
    launches: tuple[Launch, ...]
    unknown: tuple[str, ...] = ()

    @property
    def count(self) -> int | None:
        """How many launches there are; None where that is not known for sure."""
        return None if self.unknown else len(self.launches)


_BY_WORD = {word: name for name, own in PRECISIONS.items() for word in own.words}
_OPERATION = re.compile(r'\n\s+(?P<kind>[a-z_0-9]+)=\{ name="?(?P<name>[^\s"]+)[^\n]*')
_OF_LAYERS = re.compile(r'\blayers="[^"]')
_KERNELS = frozenset(("function", "runtime_function", "runtime_fusion"))
"""Kinds that are kernels even where they name no ONNX layer: a move that nobody wrote, say."""
_PRODUCTS = frozenset(("corrltn", "deconvolution", "fully_connected", "kgen_gemm"))
_PLUGIN = "custom_layer"
_NO_KERNELS = frozenset(
    ("abs", "add", "and", "assert", "buffer", "ceil", "cjmp", "copy", "div", "eq", "floor",
     "geq", "gt", "leq", "lt", "max", "memset", "min", "mod", "mul", "neg", "neq", "not",
     "or", "select", "shape_call", "signal", "sub", "tensor", "wait", "xor")
)  # fmt: skip
"""Kinds of what is computed of shapes on the host, of what brings a shape's numbers to the device,
of what declares memory, of jumps, and of what one stream waits for another by.

Some of these words name kernels where ONNX layers stand behind them.
"""
_BODIES = "accelerators={"
"""Heads the listing, and each body of a kernel behind it."""
_INPUTS = re.compile(r"\binput(?:_args)?=\{([^}]*)\}")
_OUTPUTS = re.compile(r"\boutput(?:_args)?=\{([^}]*)\}")
_TENSOR = re.compile(r'\n\s+\w+=\{[^\n]*?name="([^"\n]+)"[^\n]* type=(\w+) ')
_ON_HOST = re.compile(r'\n\s+tensor=\{[^\n]*?name="([^"\n]+)"[^\n]* region="(?:system_)?hmem')
"""A tensor in the host's memory: no kernel writes it."""
_ORIGIN = re.compile(r'layers="([^"\n]*)"')
_CONVOLUTION = re.compile(r"__myl_Corr\w*")
"""A float convolution with an activation that is no Relu in its kernel, as a detector's SiLU."""
_MOVES = re.compile(r"__myl_(?:Move|Tran|Resh|Repl|Conc|Cast)+")


def read_listing(plan: bytes) -> PlanFacts | None:
    """Read the listing inside a TensorRT-RTX plan; None where there is none.

    An operation is a launch by its kind, or because it computes an ONNX layer, and none where no
    layer stands behind it and its kind is one of `_NO_KERNELS` or all that it writes lies on the
    host. What is neither is named as unknown.
    """
    text = _without_bodies(plan.decode("latin1"))
    types = dict(_TENSOR.findall(text))
    found = list(_OPERATION.finditer(text))
    launches = tuple(_listed(match, types) for match in found if _is_launch(match))
    host = frozenset(_ON_HOST.findall(text))
    others = [m for m in found if not _is_launch(m) and not _writes_on(host, m)]
    unknown = sorted({m["kind"] for m in others} - _NO_KERNELS)
    source = "the plan's own listing (undocumented)"
    return PlanFacts(source, launches, tuple(unknown)) if launches else None


def _without_bodies(text: str) -> str:
    """Cut off what the kernels are made of, which lists operations as well."""
    bodies = text.find(_BODIES, text.find(_BODIES) + 1)
    return text if bodies < 0 else text[:bodies]


def _is_launch(operation: re.Match[str]) -> bool:
    known = operation["kind"] in _KERNELS | _PRODUCTS | {_PLUGIN}
    return known or bool(_OF_LAYERS.search(operation.group(0)))


def _writes_on(host: frozenset[str], operation: re.Match[str]) -> bool:
    written = _quoted(_OUTPUTS, operation.group(0))
    return bool(written) and host.issuperset(written)


def _listed(match: re.Match[str], types: Mapping[str, str]) -> Launch:
    line = match.group(0)
    origin = _group(_ORIGIN, line)
    reads, writes = _quoted(_INPUTS, line), _quoted(_OUTPUTS, line)
    kind: Kind = "other"
    if match["kind"] in _PRODUCTS or _CONVOLUTION.fullmatch(match["name"]):
        kind = "product"
    elif match["kind"] == _PLUGIN:
        kind = "plugin"
    elif _MOVES.fullmatch(match["name"]):
        kind = "move"
    precision = _BY_WORD.get(types.get(reads[0], "")) if reads and kind == "product" else None
    return Launch(kind, precision, origin, reads, writes, match["name"])


def _quoted(pattern: re.Pattern[str], line: str) -> tuple[str, ...]:
    return tuple(re.findall(r'"([^"]+)"', _group(pattern, line)))


def _group(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match.group(1) if match else ""


_PRODUCT_TYPES = re.compile(r"conv|gemm|matmul|matrix_?multiply", re.IGNORECASE)


def read_inspector(document: str) -> PlanFacts | None:
    """Read the JSON of the engine inspector at detailed verbosity; None where it lists no layer."""
    layers = json.loads(document).get("Layers", [])
    launches = tuple(_inspected(layer) for layer in layers if isinstance(layer, dict))
    return PlanFacts("the engine inspector", launches) if launches else None


def _inspected(layer: Mapping[str, Any]) -> Launch:
    kind: Kind = "other"
    of_type = str(layer.get("LayerType", ""))
    if "plugin" in of_type.lower():
        kind = "plugin"
    elif of_type.lower() in ("reformat", "shuffle", "noop"):
        kind = "move"
    elif _PRODUCT_TYPES.search(of_type) or _PRODUCT_TYPES.search(str(layer.get("Name", ""))):
        kind = "product"
    inputs = [t for t in layer.get("Inputs", []) if isinstance(t, dict)]
    precision = _format(inputs[0]) if inputs and kind == "product" else None
    name = str(layer.get("Name", ""))
    origin = f"{name} {layer.get('Metadata', '')}"
    outputs = tuple(_names(layer["Outputs"]))
    return Launch(kind, precision, origin, tuple(_names(inputs)), outputs, name)


def _format(tensor: Mapping[str, Any]) -> str | None:
    text = str(tensor.get("Format/Datatype", tensor.get("Format", ""))).lower()
    lowest_first = reversed(_BY_WORD)  # "bfloat16" holds "float" as well
    return next((_BY_WORD[word] for word in lowest_first if word in text), None)


def _names(tensors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    return (str(tensor.get("Name", "")) for tensor in tensors)
