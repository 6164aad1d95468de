"""The inputs of a network that says nothing of itself, as its user says them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from simam_deploy.core.specs import TensorSpec, shape_text
from simam_deploy.errors import UsageError
from simam_deploy.source.input_plan import ODD_BATCH, TRACE_BATCH, check_dynamic, fit_input
from simam_deploy.source.options import NetworkOptions, input_text, read_input
from simam_deploy.source.stated.choice import input_shape
from simam_deploy.source.stated.record import Stated
from simam_deploy.source.subject import InputShapes

_SIDES = (2, 3)
"""Height and width of (N, C, H, W)."""
_STEP = 32
"""What validation changes sides by, the second by twice that: what detectors join must fit."""


@dataclass(frozen=True)
class FreeInputs:
    """What the graph takes.

    Attributes:
        specs: By input; dimensions given by name are free.
        shapes: The full shapes that were given.
    """

    specs: tuple[TensorSpec, ...]
    shapes: InputShapes

    @property
    def given(self) -> tuple[TensorSpec, ...]:
        """The specs with the sizes that were given."""
        pairs = zip(self.specs, self.shapes, strict=True)
        return tuple(replace(spec, shape=shape) for spec, shape in pairs)

    @property
    def trace_sizes(self) -> Mapping[str, int]:
        """Size by free dimension's name to trace with."""
        return {name: TRACE_BATCH if name == "batch" else size for name, size in self._free()}

    def _free(self) -> Iterator[tuple[str, int]]:
        for spec, shape in zip(self.specs, self.shapes, strict=True):
            for name, size in zip(spec.shape, shape, strict=True):
                if isinstance(name, str):
                    yield name, size

    @property
    def validation_shapes(self) -> tuple[InputShapes, ...]:
        """The full shapes to validate: a batch of 1, and other sizes of all that is free."""
        names = dict(self._free())
        if not names:
            return (self.shapes,)
        first = {**names, "batch": 1}
        other = {
            name: ODD_BATCH if name == "batch" else size + _STEP * (1 + name.endswith("width"))
            for name, size in names.items()
        }
        return self._at(first), self._at(other)

    def _at(self, sizes: Mapping[str, int]) -> InputShapes:
        return tuple(
            tuple(sizes[size] if isinstance(size, str) else size for size in spec.shape)
            for spec in self.specs
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Say which inputs have no batch, where others have one."""
        if not any("batch" in spec.shape for spec in self.specs):
            return ()
        return tuple(
            f"input {spec.name} has no batch: "
            f"{'its first size is another' if spec.shape else 'it is one number'}"
            for spec in self.specs
            if "batch" not in spec.shape
        )


def with_size(options: NetworkOptions, stated: Stated) -> tuple[NetworkOptions, tuple[str, ...]]:
    """Give the one input the size that its file says, where no option says any; with a note."""
    if options.inputs:
        return options, ()
    shape, found = input_shape(options.input_shape, stated)
    return replace(options, input_shape=shape), found


def plan_free_inputs(options: NetworkOptions) -> FreeInputs:
    """Plan the inputs from what is said of them.

    The first size that is given is the batch, and so is that of every input which has the same.
    By default the batch is free; "hw" frees the height and width of every (N, C, H, W) as well.

    Raises:
        UsageError: Nothing says the shapes, or two options do; a name stands twice; nothing is
            (N, C, H, W) whose height and width could be free.
    """
    given = _given(options)
    dynamic = "batch" if options.dynamic is None else options.dynamic
    check_dynamic(dynamic)
    if dynamic == "hw" and all(len(spec.shape) != 4 for spec in given):
        shapes = ", ".join(shape_text(spec.shape) for spec in given)
        raise UsageError(
            f"free height and width want an input N x C x H x W, got {shapes}",
            options=("dynamic", "input_shape"),
        )
    shaped = [spec.shape[:1] for spec in given if spec.shape] if dynamic != "none" else []
    pictures = [spec.name for spec in given if len(spec.shape) == 4 and dynamic == "hw"]
    specs = tuple(_freed(spec, shaped[:1], pictures) for spec in given)
    return FreeInputs(specs, tuple(tuple(map(int, spec.shape)) for spec in given))


def _given(options: NetworkOptions) -> tuple[TensorSpec, ...]:
    """Give the inputs with all their sizes."""
    for spec in options.inputs:
        _check_input(spec)
    names = [spec.name for spec in options.inputs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two inputs are called {twice}", options=("inputs",))
    if names and (options.input_shape or options.input_names):
        raise UsageError(
            f"the inputs {', '.join(names)} bring their names and shapes: leave others out",
            options=("inputs", "input_shape", "input_names"),
        )
    if names:
        return options.inputs
    if options.input_shape is None:
        raise UsageError(
            "this network does not say what it takes: give the input's shape, like 1x3x640x640, or "
            "each of several inputs",
            options=("input_shape", "inputs"),
        )
    name = fit_input(options.input_names, "input")
    return (TensorSpec(name, "float32", tuple(options.input_shape)),)


def _check_input(spec: TensorSpec) -> None:
    """See to it that a record's input is one that could be said.

    Raises:
        UsageError: It is not.
    """
    try:
        read_input(input_text(spec))
    except ValueError as error:
        raise UsageError(str(error), options=("inputs",)) from None


def _freed(
    spec: TensorSpec, batch: Sequence[tuple[int | str, ...]], pictures: Sequence[str]
) -> TensorSpec:
    """Name a spec's free dimensions; the sides of a second picture are its own."""
    dims = list(spec.shape)
    if spec.shape[:1] in batch:
        dims[0] = "batch"
    if spec.name in pictures:
        whose = "" if spec.name == pictures[0] else f"{spec.name}_"
        for axis, side in zip(_SIDES, ("height", "width"), strict=True):
            dims[axis] = f"{whose}{side}"
    return replace(spec, shape=tuple(dims))
