"""Wrap a TensorRT-RTX plan into an .onnx for ONNX Runtime's TensorRT-RTX provider.

The file has one node, com.microsoft::EPContext, whose attribute is the plan. The provider loads
that as it is: nothing is compiled where it runs but the plan's kernels for its GPU. What the
provider looks at, and what it is held against:

    source, embed_mode, ep_cache_context    who made the plan, and that it lies in the node
    hardware_architecture                   the GPU's compute capability, "80+" for Ampere and later
    ep_compatibility_info.PROVIDER          in the file's metadata: the plan's first 64 bytes, which
                                            tell its version, in hexadecimal
"""

from __future__ import annotations

import os
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from simam_deploy.core.artifacts import EngineArtifact
from simam_deploy.core.files import PLANS, SOURCES, stem_of
from simam_deploy.core.manifest import read_artifact
from simam_deploy.core.place import place_of
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import ELEMENTS, TensorSpec
from simam_deploy.core.staging import explained, publish, staging_folder
from simam_deploy.engine.plan.manifest import artifact_of
from simam_deploy.errors import InputError, UsageError
from simam_deploy.serve.deploy.result import Deployment

PROVIDER = "NvTensorRTRTXExecutionProvider"
DOMAIN = "com.microsoft"
SUFFIX = "_ctx"
"""What ONNX Runtime itself calls such a file by, behind the model's name."""
HEADER = 64
"""Bytes of a plan that the provider holds against its own library before it opens a file."""
LARGEST = 2**31 - 2**20
"""Bytes of a plan in one ONNX message, which ends at 2 GiB."""
_OPSET = 18


def epcontext_place(source: Path, output: str | Path | None) -> Path:
    """Say where the file goes: by default beside the source, as model_ctx.onnx.

    Raises:
        UsageError: The output is named otherwise, or is the source.
        InputError: The user did not name the file, and somebody else's has that name.
    """
    stem = stem_of(source, (*SOURCES, *PLANS)) + SUFFIX
    folder = output is None or os.fspath(output).endswith(os.sep) or Path(output).is_dir()
    target = Path(source.parent if output is None else output)
    return place_of(source, target / f"{stem}.onnx" if folder else target, (".onnx",))


def write_epcontext(
    plan: Path, output: Path, *, progress: Progress = lambda step: None
) -> Deployment:
    """Write `output`, the plan within.

    Args:
        plan: A TensorRT-RTX plan with its manifest beside it, without a plugin.
        output: The .onnx to write.
        progress: Told each step.

    Returns:
        What was written; all of it is there, or nothing.

    Raises:
        UsageError: The plan is TensorRT's, or has a plugin.
        InputError: The plan cannot be used, or the output not be written.
    """
    progress("checking the plan")
    checked = read_artifact(plan)
    stated = artifact_of(plan, checked.facts, cached=False, seconds=0)
    _check(stated)
    model = _model(plan.read_bytes(), stated, checked.facts["files"][0]["sha256"])
    progress("writing the file")
    with staging_folder(output) as stage, explained(output):
        (stage / output.name).write_bytes(model.SerializeToString())
        publish(stage, output)
    return Deployment("epcontext", output, output.stem, (output.name,), (_NOTE,))


_NOTE = (
    f"opened by ONNX Runtime with {PROVIDER} alone, on a machine with such a GPU; the plan is "
    "proved as far as its own manifest says"
)


def _check(plan: EngineArtifact) -> None:
    """Refuse what the provider would not load.

    Raises:
        UsageError: The plan is TensorRT's, or has a plugin.
        InputError: It is too large for one file, or is no plan.
    """
    if plan.flavour != "tensorrt_rtx":
        raise UsageError(
            f"{plan.path.name} is a plan of {plan.flavour!r:.40}, which {PROVIDER} does not load: "
            "build one with simam-build --backend rtx"
        )
    if plan.plugin:
        raise UsageError(
            f"{plan.path.name} holds a plugin, which {PROVIDER} does not let a plan bring along: "
            "build it with --plugin never"
        )
    if not HEADER <= plan.size <= LARGEST:
        raise InputError(
            f"{plan.path.name} has {plan.size} bytes: one ONNX file takes {HEADER} to {LARGEST}"
        )


def _model(content: bytes, plan: EngineArtifact, sha256: str) -> onnx.ModelProto:
    """Give the file of one node."""
    node = helper.make_node(
        "EPContext",
        [spec.name for spec in plan.inputs],
        [spec.name for spec in plan.outputs],
        name=plan.path.stem,
        domain=DOMAIN,
        main_context=1,
        embed_mode=1,
        ep_cache_context=content,
        source=PROVIDER,
        ep_sdk_version=plan.version,
        hardware_architecture=_architecture(plan.targets),
        partition_name=plan.path.stem,
    )
    graph = helper.make_graph([node], plan.path.stem, _values(plan.inputs), _values(plan.outputs))
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=8, producer_name="simam-deploy"
    )
    properties = {
        f"ep_compatibility_info.{PROVIDER}": content[:HEADER].hex(),
        "simam.plan_sha256": sha256,
        "simam.precision": plan.precision,
        "simam.targets": ",".join(plan.targets),
        "simam.tensorrt_rtx": plan.version,
    }
    helper.set_model_props(model, properties)
    return model


def _values(specs: tuple[TensorSpec, ...]) -> list[onnx.ValueInfoProto]:
    numbers = {e.name: TensorProto.DataType.Value(e.onnx.upper()) for e in ELEMENTS}
    return [
        helper.make_tensor_value_info(spec.name, numbers[spec.dtype], spec.shape) for spec in specs
    ]


def _architecture(targets: tuple[str, ...]) -> str:
    """Word the compute capabilities as the provider does: 89, or 80+ for Ampere and later."""
    if targets == ("default",):
        return "80+"
    return ",".join(target.removeprefix("sm") for target in targets)
