"""How large a batch Triton may make, and the shapes it warms a model up with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simam_deploy.core.manifest import Artifact
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import UsageError
from simam_deploy.source.samples.preparation import made_size

Shape = tuple[int, ...]

DEFAULT_BATCH = 8
"""Items in a batch of an .onnx, as in simam-serve; a plan's profile says its own."""
_MOST = 1024


def is_fixed(size: int | str) -> bool:
    """Tell a dimension's size from a name for a free one, or -1."""
    return isinstance(size, int) and size >= 0


def batch_size(artifact: Artifact, tensors: tuple[TensorSpec, ...], asked: int | None) -> int:
    """Decide the most items that Triton puts into a batch; 0 leaves the batch to the client.

    Args:
        artifact: The model.
        tensors: Its inputs and outputs.
        asked: What the user wants; None for the default.

    Raises:
        UsageError: The model, or the plan's first profile, does not take what is asked for.
    """
    if not all(spec.shape and not is_fixed(spec.shape[0]) for spec in tensors):
        if asked:
            raise UsageError(f"{artifact.path.name} has a fixed batch: max_batch_size must be 0")
        return 0
    largest = [shapes["max"][0] for shapes in _profile(artifact).values()]
    most = min(largest, default=_MOST)
    usual = most if largest else DEFAULT_BATCH
    if not 0 <= (usual if asked is None else asked) <= most:
        raise UsageError(f"max_batch_size must be 0 to {most}, got {asked}")
    return usual if asked is None else asked


def warm_up_shapes(artifact: Artifact, inputs: tuple[TensorSpec, ...]) -> Mapping[str, Shape]:
    """Give a whole shape for every input, or nothing where one is not known.

    A plan's profile says what it is tuned for. Otherwise free sides are a picture's usual ones,
    and other free dimensions the smallest that the manifest knows to work.
    """
    profile = _profile(artifact)
    shapes = {}
    for spec in inputs:
        tuned = profile.get(spec.name)
        shape = tuned["opt"] if tuned else _filled(spec, artifact.facts)
        if shape is None:
            return {}
        shapes[spec.name] = shape
    return shapes


def _profile(artifact: Artifact) -> dict[str, dict[str, Shape]]:
    """Read a plan's first profile, the one that Triton uses: min, opt and max shapes by input."""
    profiles = artifact.facts.get("profiles") or [[]]
    return {
        entry["name"]: {key: tuple(entry[key]) for key in ("min", "opt", "max")}
        for entry in profiles[0]
    }


def _filled(spec: TensorSpec, facts: Mapping[str, Any]) -> Shape | None:
    usual = _usual(len(spec.shape), facts)
    sizes = [
        size if isinstance(size, int) and size >= 0 else other
        for size, other in zip(spec.shape, usual, strict=False)
    ]
    return None if None in sizes else tuple(size for size in sizes if size is not None)


def _usual(rank: int, facts: Mapping[str, Any]) -> tuple[int | None, ...]:
    """Give what free dimensions usually are; None where nothing is known."""
    made = made_size(facts.get("preprocessing") or {})
    if rank == 4 and made is not None:
        return (1, None, *made)
    smallest = facts.get("smallest_input") or ()
    return (1, *smallest[1:]) if len(smallest) == rank else (1,) + (None,) * (rank - 1)
