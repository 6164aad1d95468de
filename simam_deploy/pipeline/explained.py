"""A network that pictures are shown to: opened once, asked for as many maps as are wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.core.files import PLANS
from simam_deploy.errors import InputError
from simam_deploy.pipeline.options import ExplainOptions
from simam_deploy.pipeline.target import Target, find_targets
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.samples.heatmap import Heatmap
from simam_deploy.source.samples.inputs import SampleInputs, find_inputs, size_fact
from simam_deploy.source.samples.picture import Picture, prepared
from simam_deploy.source.samples.pictures import Decoded
from simam_deploy.source.samples.preparation import Preparation, read_preparation

if TYPE_CHECKING:
    import onnx_ir as ir

    from simam_deploy.source.forward import Forward


@dataclass(frozen=True)
class GradCam(Heatmap):
    """A Grad-CAM.

    Its cells are in units of the score times the layer's, and none is negative: they are not
    scaled, so that those of two classes can be compared.

    Attributes:
        target: The score that it explains.
    """

    target: Target


@dataclass(frozen=True)
class Explained:
    """A network that pictures are shown to.

    Attributes:
        name: What it is, as `resnet50` or `onnx:model.onnx`.
        given: The inputs that a picture gives.
        prepare: How it becomes them.
        classes: The classes' names, as far as they are known.
        notes: What was done to the network when it was opened.
        graph: Gives its graph, anew at each call.
        module: The network in PyTorch, called by position; None where there is none.
        outputs: Names of what that gives.
    """

    name: str
    given: SampleInputs
    prepare: Preparation
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    graph: Callable[[], ir.Model]
    module: Forward | None = None
    outputs: tuple[str, ...] = ()

    def show(self, picture: Decoded) -> Picture:
        """Prepare a picture."""
        return prepared(picture, self.prepare)

    def attention(self, picture: Picture) -> tuple[Heatmap, ...]:
        """Compute every SimAM site's gates, averaged over the channels, in the graph's order.

        Raises:
            InputError: There is no SimAM in it, or ONNX Runtime does not run it.
        """
        from simam_deploy.graph.prepare import plain
        from simam_deploy.precision.taps import SiteRecorder

        with SiteRecorder(plain(self.graph())) as recorder:
            feeds = self.given.feeds(picture)
            sizes = {spec.name: spec.shape[0] for spec in recorder.inputs}
            samples = recorder.record({k: _batch(a, sizes.get(k, 1)) for k, a in feeds.items()})
        return tuple(
            Heatmap(each.name, each.attention().astype(np.float32), picture.placement, picture.made)
            for each in samples
        )

    def grad_cams(
        self, picture: Picture, asked: ExplainOptions, layers: Sequence[str] = ()
    ) -> tuple[tuple[GradCam, ...], tuple[Target, ...]]:
        """Compute Grad-CAM.

        Args:
            picture: What is shown.
            asked: Which score, and whose maps.
            layers: Modules whose maps are wanted instead, all of that score.

        Returns:
            A map for each layer; and every detection, the surest first, none of a classifier.

        Raises:
            InputError: There is no network in PyTorch, or no score, or a layer has no maps.
            UsageError: There is no such layer, class or box.
        """
        import torch

        from simam_deploy.models.gradcam import grad_cam

        module = self._differentiable()
        layers = layers or (asked.layer or self._last_site(),)
        found: list[tuple[Target, tuple[Target, ...]]] = []

        def choose(tensors: tuple[torch.Tensor, ...]) -> torch.Tensor:
            outputs = dict(zip(self.outputs, tensors, strict=True))
            arrays = {name: tensor.detach().numpy() for name, tensor in outputs.items()}
            found.append(find_targets(arrays, asked, self.classes, picture.placement))
            score: torch.Tensor = found[0][0].of(outputs)
            return score

        inputs = [torch.from_numpy(array) for array in self.given.feeds(picture).values()]
        maps = grad_cam(module, inputs, layers, choose)
        target, detections = found[0]
        made = (
            GradCam(name, cells.float().numpy(), picture.placement, picture.made, target)
            for name, cells in maps.items()
        )
        return tuple(made), detections

    def _differentiable(self) -> Forward:
        if self.module is None:
            raise InputError(
                f"{self.name} is a graph, which cannot be differentiated: Grad-CAM needs the "
                "network in PyTorch, so give the checkpoint, and the factory that makes it where "
                "it is your own; attention maps are there for both",
                options=("model", "methods"),
            )
        return self.module

    def _last_site(self) -> str:
        """Name the module of the last SimAM: of ours by its class, of anybody's by the graph.

        Raises:
            InputError: No module is the last SimAM, or there is none.
        """
        from simam_deploy.graph.sites import simam_nodes
        from simam_deploy.models.attention.simam import SimAM

        assert self.module is not None
        modules: dict[str, object] = dict(self.module.named_modules())
        if ours := [name for name, module in modules.items() if isinstance(module, SimAM)]:
            return ours[-1]
        last: list[str] = [node.name or "" for node in simam_nodes(self.graph())][-1:]
        if not last or last[0] not in modules:
            said = f"the last SimAM, {last[0]}, is no module" if last else "there is no SimAM"
            raise InputError(f"{said}: name the layer to explain", options=("layer",))
        return last[0]


def _batch(array: Array, size: int | str) -> Array:
    """Repeat a picture, as often as the input's batch is fixed at."""
    return array if isinstance(size, str) else np.repeat(array, size, 0)


def open_explained(source: Path, network: NetworkOptions, classes: Sequence[str]) -> Explained:
    """Open a network.

    Args:
        source: What `export_onnx` takes.
        network: What is said of it.
        classes: Names of its classes; none leaves them to the source.

    Raises:
        InputError: It cannot be used, or takes no pictures.
        UsageError: An option does not fit it.
    """
    if source.suffix in PLANS:
        raise InputError(
            f"{source.name} is a plan, which shows nothing within: give the .onnx that it was "
            "built from, or the checkpoint"
        )
    load = _open_onnx if source.suffix.lower() == ".onnx" else _open_subject
    opened = load(source, network)
    return replace(opened, classes=tuple(classes)) if classes else opened


def _open_onnx(source: Path, network: NetworkOptions) -> Explained:
    """Read an .onnx, which is run as far as its SimAM sites alone."""
    from simam_deploy.graph.file.interface import check_interface, interface
    from simam_deploy.graph.file.read import read_model
    from simam_deploy.source.asked import pictures_of_onnx
    from simam_deploy.source.onnx_file import refuse_fixed
    from simam_deploy.source.stated.of_onnx import take_metadata

    refuse_fixed(source, network)
    model = read_model(source)
    check_interface(model, source.name)
    inputs, _ = interface(model)
    given, facts = pictures_of_onnx(model.metadata_props, inputs, network.preprocess)
    named = take_metadata(model.metadata_props, inputs[0].shape).facts.get("classes", ())
    prepare = _preparation(source.name, given, facts)
    return Explained(source.name, given, prepare, tuple(named), (), lambda: read_model(source))


def _open_subject(source: Path, network: NetworkOptions) -> Explained:
    """Load a network in PyTorch, whose graph is traced once it is needed."""
    from simam_deploy.runtime.torch_runner import TorchRunner
    from simam_deploy.source import load_subject
    from simam_deploy.source.forward import Forward

    subject = load_subject(source, network)
    with subject.reference() as runner:
        assert isinstance(runner, TorchRunner)
        module, inputs, outputs = runner.model, runner.inputs, runner.outputs
    facts = subject.facts.get("preprocessing")
    given = find_inputs(inputs, bool(size_fact(facts)))
    return Explained(
        name=subject.facts["arch"],
        given=given,
        prepare=_preparation(source.name, given, facts),
        classes=tuple(subject.facts.get("classes", ())),
        notes=(*subject.notes, *subject.contradictions),
        graph=lambda: subject.graph().model,
        module=module if isinstance(module, Forward) else None,
        outputs=tuple(spec.name for spec in outputs),
    )


def _preparation(name: str, given: SampleInputs, facts: Mapping[str, Any] | None) -> Preparation:
    """Say how a picture becomes the input.

    Raises:
        InputError: It takes none, or nobody says how.
    """
    spec = given.sample
    if len(spec.shape) != 4 or "float" not in spec.dtype:
        raise InputError(f"{name} takes no pictures: its input is {spec}")
    prepare = read_preparation(facts, replace(spec, dtype="float32"))
    if prepare is None:
        raise InputError(
            f"nothing says how a picture becomes the input of {name}: say it, e.g. imagenet or "
            "yolo",
            options=("preprocess",),
        )
    return prepare
