"""A network that pictures are shown to: opened once, asked for as many maps as are wanted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.core.files import PLANS
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.pipeline.options import ExplainOptions
from simam_deploy.pipeline.target import Target, find_targets
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.samples.heatmap import Heatmap
from simam_deploy.source.samples.picture_inputs import (
    Picture,
    PictureInputs,
    find_picture_inputs,
)
from simam_deploy.source.samples.placement import Sides

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
class Explaining:
    """A score, and Grad-CAM of it.

    Attributes:
        maps: In the order of the network; of layers that the score does not depend on there is
            none.
        target: The score.
        detections: Every detection, the surest first; none of a classifier.
    """

    maps: tuple[GradCam, ...]
    target: Target
    detections: tuple[Target, ...]


@dataclass(frozen=True)
class Explained:
    """A network that pictures are shown to.

    Attributes:
        name: What it is, as `resnet50` or `onnx:model.onnx`.
        inputs: Those that a picture gives, and how it becomes them.
        classes: The classes' names, as far as they are known.
        notes: What was done to the network when it was opened.
        graph: Gives its graph, anew at each call.
        module: The network in PyTorch, called by position; None where there is none.
        outputs: Names of what that gives.
    """

    name: str
    inputs: PictureInputs
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    graph: Callable[[], ir.Model]
    module: Forward | None = None
    outputs: tuple[str, ...] = ()

    def attention(self, picture: Picture) -> tuple[Heatmap, ...]:
        """Compute every SimAM site's gates, averaged over the channels, in the graph's order.

        Raises:
            InputError: There is no SimAM in it, or ONNX Runtime does not run it.
        """
        from simam_deploy.graph.prepare import plain
        from simam_deploy.precision.taps import SiteRecorder

        with SiteRecorder(plain(self.graph())) as recorder:
            feeds = self.inputs.feeds(picture)
            sizes = {spec.name: spec.shape[0] for spec in recorder.inputs}
            samples = recorder.record({k: _batch(a, sizes.get(k, 1)) for k, a in feeds.items()})
        return tuple(
            Heatmap(
                each.name, each.attention().astype(np.float32), picture.placement, _made(picture)
            )
            for each in samples
        )

    def grad_cam(self, picture: Picture, asked: ExplainOptions) -> Explaining:
        """Compute the Grad-CAM of the layer asked for, by default of the last SimAM.

        Of several branches, as a detector has them for large and small objects, the last SimAM may
        be on another than the score: then it is the last one that the score depends on.

        Raises:
            InputError: As `grad_cams`, or the score does not depend on the layer.
            UsageError: As `grad_cams`.
        """
        if asked.layer is not None:
            return _some(self.grad_cams(picture, asked, [asked.layer]), f"layer {asked.layer}")
        sites = self.sites
        last = self.grad_cams(picture, asked, sites[-1:])
        return last if last.maps else _some(self.grad_cams(picture, asked, sites), "any SimAM")

    def grad_cams(
        self, picture: Picture, asked: ExplainOptions, layers: Sequence[str]
    ) -> Explaining:
        """Compute Grad-CAM of several layers, in one pass.

        Args:
            picture: What is shown.
            asked: Which score is explained.
            layers: Names of modules whose output is (1, K, h, w).

        Raises:
            InputError: There is no network in PyTorch, or no score, or a layer has no maps.
            UsageError: There is no such layer, class or box.
        """
        import torch

        from simam_deploy.models.gradcam import grad_cam

        found: list[tuple[Target, tuple[Target, ...]]] = []

        def choose(tensors: tuple[torch.Tensor, ...]) -> torch.Tensor:
            outputs = dict(zip(self.outputs, tensors, strict=True))
            arrays = {name: tensor.detach().numpy() for name, tensor in outputs.items()}
            found.append(find_targets(arrays, asked, self.classes, picture.placement))
            score: torch.Tensor = found[0][0].of(outputs)
            return score

        inputs = [torch.from_numpy(array) for array in self.inputs.feeds(picture).values()]
        cells = grad_cam(self._differentiable(), inputs, layers, choose)
        target, detections = found[0]
        maps = (
            GradCam(name, each.float().numpy(), picture.placement, _made(picture), target)
            for name, each in cells.items()
        )
        return Explaining(tuple(maps), target, detections)

    @functools.cached_property
    def sites(self) -> tuple[str, ...]:
        """The modules that are SimAM, in order: ours by their class, others by the graph.

        Raises:
            InputError: There are none, or there is no network in PyTorch.
        """
        from simam_deploy.graph.sites import simam_nodes
        from simam_deploy.models.attention.simam import SimAM

        modules: dict[str, object] = dict(self._differentiable().named_modules())
        ours = tuple(name for name, module in modules.items() if isinstance(module, SimAM))
        found = ours or tuple(node.name or "" for node in simam_nodes(self.graph()))
        if sites := tuple(name for name in found if name in modules):
            return sites
        said = f"no module is a SimAM, {found[0]} for one" if found else "there is no SimAM"
        raise InputError(f"{said}: name the layer to explain", options=("layer",))

    def _differentiable(self) -> Forward:
        if self.module is None:
            raise InputError(
                f"{self.name} is a graph, which cannot be differentiated: Grad-CAM needs the "
                "network in PyTorch, so give the checkpoint, and the factory that makes it where "
                "it is your own; attention maps are there for both",
                options=("model", "methods"),
            )
        return self.module


def _some(found: Explaining, where: str) -> Explaining:
    """See to it that there is a map.

    Raises:
        InputError: There is none.
    """
    if not found.maps:
        raise InputError(
            f"{found.target.scalar} does not depend on {where}: its gradient is 0 there, or the "
            "network computes without one; name another layer, or another score",
            options=("layer",),
        )
    return found


def _made(picture: Picture) -> Sides:
    """Give height and width of the input that a picture became."""
    return picture.array.shape[2], picture.array.shape[3]


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
    from simam_deploy.source.asked import preprocessing_of_onnx
    from simam_deploy.source.onnx_file import refuse_fixed
    from simam_deploy.source.stated.of_onnx import take_metadata

    refuse_fixed(source, network)
    model = read_model(source)
    check_interface(model, source.name)
    inputs, _ = interface(model)
    facts = preprocessing_of_onnx(model.metadata_props, inputs, network.preprocess)
    named = take_metadata(model.metadata_props, inputs[0].shape).facts.get("classes", ())
    taken = _picture_inputs(source.name, inputs, facts)
    return Explained(source.name, taken, tuple(named), (), lambda: read_model(source))


def _open_subject(source: Path, network: NetworkOptions) -> Explained:
    """Load a network in PyTorch, whose graph is traced once it is needed."""
    from simam_deploy.runtime.torch_runner import TorchRunner
    from simam_deploy.source import load_subject
    from simam_deploy.source.forward import Forward

    subject = load_subject(source, network)
    with subject.reference() as runner:
        assert isinstance(runner, TorchRunner)
        module, inputs, outputs = runner.model, runner.inputs, runner.outputs
    return Explained(
        name=subject.facts["arch"],
        inputs=_picture_inputs(source.name, inputs, subject.facts.get("preprocessing")),
        classes=tuple(subject.facts.get("classes", ())),
        notes=(*subject.notes, *subject.contradictions),
        graph=lambda: subject.graph().model,
        module=module if isinstance(module, Forward) else None,
        outputs=tuple(spec.name for spec in outputs),
    )


def _picture_inputs(
    name: str, inputs: Sequence[TensorSpec], facts: Mapping[str, Any] | None
) -> PictureInputs:
    """Say how a picture becomes the inputs.

    Raises:
        InputError: They take none, or nobody says how.
    """
    if not any(len(spec.shape) == 4 and "float" in spec.dtype for spec in inputs):
        raise InputError(f"{name} takes no pictures: its input is {'; '.join(map(str, inputs))}")
    found = find_picture_inputs(inputs, facts)
    if found is None:
        raise InputError(
            f"nothing says how a picture becomes the input of {name}: say it, e.g. imagenet or "
            "yolo",
            options=("preprocess",),
        )
    return found
