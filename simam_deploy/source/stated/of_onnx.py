"""What an .onnx says in its metadata: an export of ours before whoever else wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simam_deploy.core.onnx_metadata import stated_facts
from simam_deploy.core.specs import TensorSpec
from simam_deploy.source.stated.choice import Taken, name_classes, take
from simam_deploy.source.stated.reading import read_stated

_OURS = ("preprocessing", "classes")


def take_metadata(metadata: Mapping[str, str], shape: Sequence[int | str]) -> Taken:
    """Take what a file's metadata say of its classes and its pictures.

    Args:
        metadata: Its metadata_props.
        shape: The first input's; a text is a free dimension.
    """
    ours, taken = stated_facts(metadata), take(read_stated(None, metadata), shape)
    against = (*ours.get("contradictions", ()), *taken.contradictions)
    own = {key: ours[key] for key in _OURS if ours.get(key)}
    return Taken({**taken.facts, **own}, taken.notes, tuple(dict.fromkeys(against)))


def add_metadata(
    facts: Mapping[str, Any],
    metadata: Mapping[str, str],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> dict[str, Any]:
    """Add to the facts of a file that is built as it is what it says in others' words.

    Args:
        facts: What is known of it: its `notes`, and what an export of ours says.
        metadata: Its metadata_props.
        inputs: Its inputs.
        outputs: Its outputs.
    """
    taken = take_metadata(metadata, inputs[0].shape)
    if all(facts.get(key) for key in taken.facts):
        return dict(facts)
    names, against = name_classes(None, taken.facts.pop("classes", None), outputs)
    against = list(dict.fromkeys([*taken.contradictions, *against]))
    known = {key: value for key, value in facts.items() if value is not None}
    return {
        **facts,
        **taken.facts,
        **names,
        **known,
        "notes": list(dict.fromkeys([*facts["notes"], *taken.notes, *against])),
        **({"contradictions": against} if against else {}),
    }
