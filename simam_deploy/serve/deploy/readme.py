"""The README that lies beside a Triton model: how to start it, and what its plan needs."""

from __future__ import annotations

import contextlib
from pathlib import PurePosixPath

from simam_deploy.core.manifest import Artifact
from simam_deploy.core.specs import TensorSpec
from simam_deploy.detect.decoding import may_detect
from simam_deploy.errors import UsageError
from simam_deploy.serve.deploy.client import client_text
from simam_deploy.source.recipes import recipe_text
from simam_deploy.source.samples.inputs import picture_inputs, size_fact

_TEXT = """# {name}

A model for NVIDIA Triton Inference Server, written by simam-deploy from `{file}`.

    tritonserver --model-repository=FOLDER{options}

FOLDER is the one that this folder lies in. Another version of the model goes beside `1`, as `2`.
{notes}"""

_ONNX = """
Triton's onnxruntime backend runs it as it is: SimAM is standard ops, or a function whose body is
in the file. No plugin is needed.
"""

_OPERATORS = """
SimAM's nodes are computed by the operators in `{library}`, which config.pbtxt names by the path

    {path}

that Triton opens as it stands: where the repository lies elsewhere, change it there. Without
`model_operations` in config.pbtxt the model runs too, by its functions' bodies.
"""

_PLAN = """
The plan runs in TensorRT {version} alone, on {targets}: take the Triton release that has this
TensorRT.
"""

_PLUGIN = """
It holds SimAM as a plugin, and the plugin's library `{plugin}` within. Code inside a plan runs only
where that is allowed, which Triton's TensorRT backend does by `version-compatible=true`, as above.
For a plan that does not carry its plugin, either of

    LD_PRELOAD=/path/{plugin} tritonserver ...
    tritonserver --backend-config=tensorrt,plugins=/path/{plugin} ...

loads the library; it has to be the build whose sha256 begins with {digest}.
"""


_PICTURES = """
It takes pictures, upright, that are prepared as

    {recipe}

says: the parameter `preprocess` of config.pbtxt, and what `simam-export --preprocess` reads. Triton
itself prepares nothing.
"""


def readme_text(
    artifact: Artifact,
    name: str,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    operators: str | None = None,
) -> str:
    """Give the README's text; `operators` is the path of their library, as config.pbtxt has it."""
    plugin = artifact.facts.get("plugin")
    notes = _ONNX if artifact.kind == "onnx" else _plan_text(artifact)
    if operators is not None:
        notes += _OPERATORS.format(library=PurePosixPath(operators).name, path=operators)
    recipe = recipe_text(artifact.facts.get("preprocessing") or {})
    if recipe:
        notes += _PICTURES.format(recipe=recipe)
        notes += _client_text(artifact, name, recipe, inputs, outputs)
    options = " \\\n        --backend-config=tensorrt,version-compatible=true" if plugin else ""
    return _TEXT.format(name=name, file=artifact.path.name, options=options, notes=notes)


def _client_text(
    artifact: Artifact,
    name: str,
    recipe: str,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
) -> str:
    """Give a client for a detector; what else takes pictures, the server's own README shows."""
    with contextlib.suppress(UsageError):
        given = picture_inputs(inputs, bool(size_fact(artifact.facts["preprocessing"])))
        if may_detect(outputs) and len(given.sample.shape) == 4:
            return client_text(name, recipe, given, outputs)
    return ""


def _plan_text(artifact: Artifact) -> str:
    facts = artifact.facts
    targets = ", ".join(map(str, facts.get("targets", ())))
    text = _PLAN.format(version=facts.get("version", "of its build"), targets=targets or "its GPU")
    plugin = facts.get("plugin")
    if plugin:
        text += _PLUGIN.format(plugin=plugin["file"], digest=plugin["sha256"][:12])
    return text
