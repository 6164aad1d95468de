"""A graph for ONNX Runtime's CPU provider whose SimAM nodes take maps in blocks of channels.

`graph.nchwc` says what is changed and why. It is proved before it is given away: every output and
every SimAM's result, against the same graph without the change, on a drawn input.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.errors import InputError
from simam_deploy.op import contract
from simam_deploy.op.find import find_operators
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.runtime.protocol import Runner

if TYPE_CHECKING:
    import onnx_ir as ir

LARGEST = 256 << 20
"""Bytes of a model: up to six copies of its weights lie in memory meanwhile."""
_NEAR = 1e-3
"""Of the largest value of a result. Both graphs have the same convolutions, and SimAM's nodes are
within 3e-7 of float64; a resnet152 of drawn weights makes 2.5e-4 of rounding, and a channel that
is taken for another tenths. It is the cap of float32 in verify/tolerance.py."""


def in_blocks(
    path: Path, contents: Mapping[str, bytes], draw: Callable[[Runner], Feeds]
) -> bytes | None:
    """Give a model as ONNX Runtime optimises it here, with SimAM's nodes in blocks.

    Args:
        path: The .onnx file, for its name.
        contents: Its bytes and those of its external data, as `onnx_contents` gives them.
        draw: Draws an input for a runner of it.

    Returns:
        The graph, to be run as it is, on this machine and by this ONNX Runtime alone; None where
        the operators are missing, no SimAM is spared a reorder, or the proof fails.
    """
    if find_operators() is None or not _has_sites(contents[path.name]):
        return None
    if sum(map(len, contents.values())) > LARGEST:
        return None
    try:
        return _proved(path, contents, draw)
    except InputError:  # one of the graphs does not run
        return None


def _has_sites(model: bytes) -> bool:
    """Tell whether a model has nodes of the operators, without importing onnx, which takes 0.3 s.

    The op type is field 4 of onnx.proto's NodeProto: its tag, its length, and the text.
    """
    written = (bytes([4 << 3 | 2, len(name)]) + name.encode() for name in contract.INPUTS)
    return any(op_type in model for op_type in written)


def _proved(
    path: Path, contents: Mapping[str, bytes], draw: Callable[[Runner], Feeds]
) -> bytes | None:
    from simam_deploy.graph.nchwc import take_blocks

    written = _optimised(path, contents)
    model = _read(written)
    block = channels_of_a_block()
    if take_blocks(model, block) <= 0:
        return None
    shown = _read(written)
    _show_sites(shown)
    expected = _results(path, shown, draw)
    take_blocks(shown, block)
    return _bytes(model) if _agree(expected, _results(path, shown, draw)) else None


def _optimised(path: Path, contents: Mapping[str, bytes]) -> bytes:
    """Have ONNX Runtime write what it makes of a model here."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.onnx"
        OnnxRunner(path, threads=1, contents=contents, write_optimised=file).close()
        whole: bytes = onnx.load(file).SerializeToString()  # with its weights, which lie beside
        return whole


def channels_of_a_block() -> int:
    """Ask ONNX Runtime for the block of its convolutions: it pads 4 channels to one.

    Raises:
        InputError: It has none on this machine.
    """
    import onnx_ir as ir

    four = ir.val("x", dtype=ir.DataType.FLOAT, shape=(1, 4, 1, 1))
    node = ir.node("ReorderInput", [four], domain="com.microsoft.nchwc")
    node.outputs[0].name, node.outputs[0].dtype = "y", ir.DataType.FLOAT
    graph = ir.Graph(
        [four], node.outputs, nodes=[node], opset_imports={"": 17, "com.microsoft.nchwc": 1}
    )
    with _opened(Path("block.onnx"), ir.Model(graph, ir_version=8)) as runner:
        return int(runner.run({"x": np.zeros((1, 4, 1, 1), np.float32)})["y"].shape[1])


def _show_sites(model: ir.Model) -> None:
    """Make the result of every SimAM that could move an output too."""
    import onnx_ir as ir

    from simam_deploy.graph.sites import simam_nodes

    for node in simam_nodes(model):
        (result,) = node.outputs
        single = result.dtype in (None, ir.DataType.FLOAT)  # as all that lies in blocks
        if single and not result.is_graph_output():
            result.dtype = ir.DataType.FLOAT
            model.graph.outputs.append(result)


def _results(path: Path, model: ir.Model, draw: Callable[[Runner], Feeds]) -> dict[str, Array]:
    with _opened(path, model) as runner:
        return runner.run(draw(runner))


def _opened(path: Path, model: ir.Model) -> OnnxRunner:
    return OnnxRunner(path, threads=1, contents={path.name: _bytes(model)}, optimised=True)


def _read(content: bytes) -> ir.Model:
    import onnx
    import onnx_ir as ir

    model: ir.Model = ir.from_proto(onnx.ModelProto.FromString(content))
    return model


def _bytes(model: ir.Model) -> bytes:
    import onnx_ir as ir

    content: bytes = ir.to_proto(model).SerializeToString()
    return content


def _agree(expected: Mapping[str, Array], got: Mapping[str, Array]) -> bool:
    return all(_is_near(array, got[name]) for name, array in expected.items())


def _is_near(expected: Array, got: Array) -> bool:
    """Hold one result against another; what is not finite in either is not near."""
    if expected.shape != got.shape:
        return False
    wide, other = expected.astype(np.float64), got.astype(np.float64)
    off = np.abs(wide - other).max(initial=0.0)
    return bool(off <= _NEAR * np.abs(wide).max(initial=0.0))
