"""Write a Triton model repository: one model, one version."""

from __future__ import annotations

import shutil
from pathlib import Path

from simam_deploy.core.manifest import Artifact, read_artifact
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import TensorSpec, specs_from
from simam_deploy.core.staging import explained, publish_folder, staging_folder
from simam_deploy.errors import InputError, UsageError
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.serve.deploy.config import LABELS, Serving, config_text
from simam_deploy.serve.deploy.names import check_model_name
from simam_deploy.serve.deploy.operators import carried
from simam_deploy.serve.deploy.readme import readme_text
from simam_deploy.serve.deploy.result import Deployment
from simam_deploy.serve.deploy.shapes import batch_size, warm_up_shapes
from simam_deploy.source.recipes import recipe_text
from simam_deploy.source.samples.inputs import size_fact

DEVICES = ("auto", "gpu", "cpu")
_VERSION = "1"
_FILE = {"onnx": "model.onnx", "engine": "model.plan"}


def write_triton(
    artifact: Path,
    output: Path,
    *,
    name: str | None = None,
    max_batch_size: int | None = None,
    instances: int = 1,
    device: str = "auto",
    repository: str | None = None,
    progress: Progress = lambda step: None,
) -> Deployment:
    """Write `output`/`name`: config.pbtxt, the model as version 1, labels, and a README.

    Args:
        artifact: An .onnx or a TensorRT plan, with its manifest beside it.
        output: The model repository, made where it is missing; other models in it stay.
        name: Of the model; by default the artifact's stem.
        max_batch_size: Items that Triton puts into a batch; by default 8, or what the plan's
            first profile takes. 0 for a batch that the client makes, as a fixed one needs it.
        instances: Copies of the model, 1 to 64, on each device.
        device: "gpu", "cpu", or "auto", which takes GPUs where Triton sees any.
        repository: Where Triton will have the repository, an absolute path: SimAM's operators for
            ONNX Runtime are then copied beside the model, and config.pbtxt names them there.
        progress: Told each step.

    Returns:
        What was written; all of it is there, or nothing.

    Raises:
        UsageError: A figure or the name does not fit, or the model is in the repository already.
        InputError: The artifact cannot be used, or the repository cannot be written.
    """
    source = Path(artifact)
    target = model_place(source.stem if name is None else name, output)
    _check_options(instances, device)
    progress("checking the artifact")
    checked = read_artifact(source)
    _check_flavour(checked, device)
    operators = repository and carried(checked, target.name, device, repository)
    with staging_folder(target) as stage:
        model = stage / target.name
        progress("copying the model")
        with explained(target):
            file = _copy(checked, model / _VERSION)
            if operators:
                shutil.copyfile(operators.library, model / operators.library.name)
        progress("writing its configuration")
        inputs, outputs = _tensors(checked, file)
        serving = Serving(
            name=target.name,
            is_engine=checked.kind == "engine",
            device="gpu" if checked.kind == "engine" else device,
            instances=instances,
            max_batch_size=batch_size(checked, (*inputs, *outputs), max_batch_size),
            warm_up=warm_up_shapes(checked, inputs),
            classes=checked.facts.get("classes", ()),
            preprocess=recipe_text(checked.facts.get("preprocessing") or {}),
            size_input=size_fact(checked.facts.get("preprocessing")).get("size_input"),
            operators=operators.path if operators else None,
        )
        with explained(target):
            text = readme_text(checked, target.name, inputs, outputs, serving.operators)
            _write_texts(model, checked, config_text(inputs, outputs, serving), text)
            publish_folder(model, target)
    notes = _notes(serving, operators.note if operators else "")
    return Deployment("triton", target, target.name, _files(target), notes)


def model_place(name: str, output: Path) -> Path:
    """Say where a model of this name goes in a repository.

    Raises:
        UsageError: It cannot be a model's name, or is one in the repository already.
    """
    target = Path(output) / check_model_name(name)
    if target.exists():
        raise UsageError(f"{target} is there already: take it away, or choose another name")
    return target


def _check_options(instances: int, device: str) -> None:
    if not 1 <= instances <= 64:
        raise UsageError(f"the instances must be 1 to 64, got {instances}")
    if device not in DEVICES:
        raise UsageError(f"the device must be one of {', '.join(DEVICES)}, got {device!r}")


def _check_flavour(artifact: Artifact, device: str) -> None:
    """Refuse what Triton has no backend for."""
    if artifact.kind == "onnx":
        return
    flavour = artifact.facts.get("flavour")
    if flavour != "tensorrt":
        raise UsageError(
            f"{artifact.path.name} is a plan of {flavour!r:.40}, which Triton has no backend for: "
            "use the .onnx, or a plan of TensorRT's"
        )
    if device == "cpu":
        raise UsageError("a TensorRT plan runs on GPUs alone: leave the device, or use the .onnx")


def _copy(artifact: Artifact, folder: Path) -> Path:
    """Copy the model under the name that Triton expects; external data keep theirs."""
    folder.mkdir(parents=True)
    model = folder / _FILE[artifact.kind]
    for file in artifact.files:
        shutil.copyfile(file, model if file.name == artifact.path.name else folder / file.name)
    return model


def _tensors(
    artifact: Artifact, file: Path
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Give inputs and outputs: of an .onnx as ONNX Runtime, and so Triton, reads the copy."""
    if artifact.kind == "engine":
        return _stated(artifact, "inputs"), _stated(artifact, "outputs")
    with OnnxRunner(file) as runner:
        return runner.inputs, runner.outputs


def _stated(artifact: Artifact, key: str) -> tuple[TensorSpec, ...]:
    """Read the inputs or outputs that a plan's manifest lists.

    Raises:
        InputError: There are none.
    """
    if not artifact.facts.get(key):
        raise InputError(f"the plan's manifest lists no {key}: build it again")
    return specs_from(artifact.facts[key])


def _write_texts(model: Path, artifact: Artifact, config: str, readme: str) -> None:
    (model / "config.pbtxt").write_text(config, encoding="utf-8")
    (model / "README.md").write_text(readme, encoding="utf-8")
    classes = artifact.facts.get("classes")
    if classes:
        (model / LABELS).write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")


def _files(target: Path) -> tuple[str, ...]:
    return tuple(sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()))


def _notes(serving: Serving, of_operators: str) -> tuple[str, ...]:
    cold = "no warm-up: the usual size of the inputs' free dimensions is not known"
    return tuple(filter(None, ("" if serving.warm_up else cold, of_operators)))
