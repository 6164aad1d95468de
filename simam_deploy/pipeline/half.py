"""From a float32 network to a file in a half type."""

from __future__ import annotations

from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.passes.fuse_epilogue import fuse_epilogue
from simam_deploy.graph.prepare import for_runtime
from simam_deploy.graph.types import HALF_TYPES
from simam_deploy.pipeline.step import Step
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.original import Original


def convert_half(original: Original, step: Step) -> tuple[str, ...]:
    """Write the network in a half type.

    Returns:
        What there is to say of it.

    Raises:
        InputError: The graph is half or quantised already.
        UsageError: The opset is too old for bfloat16.
    """
    graph = original.graph()
    if original.fused:
        fuse_epilogue(graph)
    # A node that is kept computes in float32 inside: it needs no Casts around it.
    halved = to_half(graph, HALF_TYPES[step.precision], step.keep_io, simam_half=original.fused)
    write_model(for_runtime(graph, original.opset, step.simplify, step.lowering), step.file)
    return halved.notes
