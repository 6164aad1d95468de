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

    `origin` is the library's own text on the ONNX nodes that the kernel came from.
    """

    kind: Kind
    precision: str | None
    origin: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class PlanFacts:
    """The launches of a plan, and where they are known from."""

    source: str
    launches: tuple[Launch, ...]


_BY_WORD = {word: name for name, own in PRECISIONS.items() for word in own.words}
_LAUNCH = re.compile(
    r"\n\s+(?P<kind>function|corrltn|runtime_fusion|kgen_gemm|custom_layer)"
    r'=\{ name="?(?P<name>[^\s"]+)[^\n]*'
)
_PRODUCTS = {"corrltn", "kgen_gemm"}
_INPUTS = re.compile(r"\binput(?:_args)?=\{([^}]*)\}")
_OUTPUTS = re.compile(r"\boutput(?:_args)?=\{([^}]*)\}")
_TENSOR = re.compile(r'\n\s+\w+=\{[^\n]*?name="([^"\n]+)"[^\n]* type=(\w+) ')
_ORIGIN = re.compile(r'layers="([^"\n]*)"')
_MOVES = re.compile(r"__myl_(?:Move|Tran|Resh|Repl|Conc|Cast)+")


def read_listing(plan: bytes) -> PlanFacts | None:
    """Read the listing inside a TensorRT-RTX plan; None where there is none."""
    text = plan.decode("latin1")
    types = dict(_TENSOR.findall(text))
    launches = tuple(_listed(match, types) for match in _LAUNCH.finditer(text))
    return PlanFacts("the plan's own listing (undocumented)", launches) if launches else None


def _listed(match: re.Match[str], types: Mapping[str, str]) -> Launch:
    line = match.group(0)
    inputs, outputs, origin = (_group(p, line) for p in (_INPUTS, _OUTPUTS, _ORIGIN))
    reads, writes = (tuple(re.findall(r'"([^"]+)"', names)) for names in (inputs, outputs))
    kind: Kind = "other"
    if match["kind"] in _PRODUCTS:
        kind = "product"
    elif match["kind"] == "custom_layer":
        kind = "plugin"
    elif _MOVES.fullmatch(match["name"]):
        kind = "move"
    precision = _BY_WORD.get(types.get(reads[0], "")) if reads and kind == "product" else None
    return Launch(kind, precision, origin, reads, writes)


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
    origin = f"{layer.get('Name', '')} {layer.get('Metadata', '')}"
    return Launch(kind, precision, origin, tuple(_names(inputs)), tuple(_names(layer["Outputs"])))


def _format(tensor: Mapping[str, Any]) -> str | None:
    text = str(tensor.get("Format/Datatype", tensor.get("Format", ""))).lower()
    lowest_first = reversed(_BY_WORD)  # "bfloat16" holds "float" as well
    return next((_BY_WORD[word] for word in lowest_first if word in text), None)


def _names(tensors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    return (str(tensor.get("Name", "")) for tensor in tensors)
