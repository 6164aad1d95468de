"""Write the InferenceService that has KServe run the model repository in Triton."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from simam_deploy.core.manifest import read_artifact
from simam_deploy.core.place import YAML, YAML_HEAD, place_of
from simam_deploy.core.progress import Progress
from simam_deploy.core.staging import explained, publish, staging_folder
from simam_deploy.errors import UsageError
from simam_deploy.serve.deploy.config import PREPROCESS
from simam_deploy.serve.deploy.names import check_model_name, check_service_name
from simam_deploy.serve.deploy.result import Deployment
from simam_deploy.source.recipes import recipe_text

RUNTIME = "kserve-tritonserver"
"""The serving runtime that KServe's own installation brings."""
SCHEMES = ("s3", "gs", "pvc", "oci", "hf", "hdfs", "webhdfs", "https", "http")
_HTTP_PORT = 8080
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_MOST_REPLICAS = 1000

_HEAD = (
    f"{YAML_HEAD}"
    + """\
: the folder that holds {model}/config.pbtxt, as
# `simam-export --format triton` writes it. Then: kubectl apply -f {file}
"""
)


def write_kserve(
    artifact: Path,
    output: str | os.PathLike[str] | None,
    *,
    storage_uri: str,
    name: str | None = None,
    model: str | None = None,
    cpu: str = "2",
    memory: str = "4Gi",
    gpus: int | None = None,
    min_replicas: int = 1,
    max_replicas: int = 4,
    progress: Progress = lambda step: None,
) -> Deployment:
    """Write an InferenceService (serving.kserve.io/v1beta1) as YAML.

    Args:
        artifact: The .onnx or plan that the repository was made of, with its manifest.
        output: The .yaml to write, or a folder for it; by default beside the artifact.
        storage_uri: Where the repository lies, for the cluster: s3://, gs://, pvc:// and so on.
        name: Of the service; by default the model's, if Kubernetes takes it.
        model: The model's name in the repository; by default the artifact's stem.
        cpu: CPUs of a replica, as Kubernetes writes quantities.
        memory: Memory of a replica, likewise.
        gpus: GPUs of a replica; by default 1 for a plan and none for an .onnx.
        min_replicas: Least number of replicas; 0 scales to nothing, where the cluster can.
        max_replicas: Largest number of replicas.
        progress: Told each step.

    Returns:
        What was written.

    Raises:
        UsageError: A name, quantity, number or URI does not fit.
        InputError: The artifact cannot be used, or the file cannot be written.
    """
    source = Path(artifact)
    model = check_model_name(source.stem if model is None else model)
    name = check_service_name(model if name is None else name)
    target = place_of(source, output, YAML)
    _check_uri(storage_uri)
    progress("checking the artifact")
    checked = read_artifact(source)
    kind = checked.kind
    gpus = int(kind == "engine") if gpus is None else gpus
    document = _service(
        _metadata(name, recipe_text(checked.facts.get("preprocessing") or {})),
        _replicas(min_replicas, max_replicas),
        {
            "modelFormat": {"name": "onnx" if kind == "onnx" else "tensorrt"},
            "runtime": RUNTIME,
            "protocolVersion": "v2",
            "storageUri": storage_uri,
            "resources": _resources(cpu, memory, gpus),
            "readinessProbe": _probe(model),
        },
    )
    text = _HEAD.format(model=model, file=target.name) + _yaml(document)
    progress("writing the service")
    with staging_folder(target) as stage, explained(target):
        (stage / target.name).write_text(text, encoding="utf-8")
        publish(stage, target)
    return Deployment("kserve", target, name, (target.name,), ())


def _check_uri(uri: str) -> None:
    """Refuse what KServe's storage initialiser cannot read, and secrets that all could read."""
    try:
        parts = urlsplit(uri)
        secret = parts.username or parts.password
    except ValueError:
        raise UsageError(f"the storage URI {uri!r} is none") from None
    if parts.scheme not in SCHEMES or not parts.netloc or not uri.isprintable() or " " in uri:
        schemes = ", ".join(f"{s}://" for s in SCHEMES)
        raise UsageError(f"the storage URI must begin with one of {schemes}; got {uri!r}")
    if secret:
        raise UsageError("a storage URI holds no credentials: put them into a Kubernetes secret")


def _replicas(least: int, most: int) -> dict[str, int]:
    if not 0 <= least <= most <= _MOST_REPLICAS or most == 0:
        raise UsageError(
            f"the replicas must be 0 <= min <= max, 1 <= max <= {_MOST_REPLICAS}; "
            f"got {least} to {most}"
        )
    return {"minReplicas": least, "maxReplicas": most}


def _resources(cpu: str, memory: str, gpus: int) -> dict[str, dict[str, str]]:
    """Ask for as much as is allowed: a server that is throttled answers late."""
    for what, quantity in (("cpu", cpu), ("memory", memory)):
        if not _QUANTITY.fullmatch(quantity):
            raise UsageError(f"{what} must be a quantity like 2, 500m or 4Gi, got {quantity!r}")
    if not 0 <= gpus <= 64:
        raise UsageError(f"the GPUs must be 0 to 64, got {gpus}")
    asked = {"cpu": cpu, "memory": memory} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    return {"requests": dict(asked), "limits": dict(asked)}


def _probe(model: str) -> dict[str, Any]:
    """Ask for this model, and not for the server alone: it is ready after its warm-up."""
    return {
        "httpGet": {"path": f"/v2/models/{model}/ready", "port": _HTTP_PORT},
        "periodSeconds": 5,
        "timeoutSeconds": 2,
        "failureThreshold": 3,
    }


def _metadata(name: str, recipe: str | None) -> dict[str, Any]:
    """Name the service, and say how its pictures are prepared, which KServe passes on unread."""
    said = {} if recipe is None else {"annotations": {f"simam-deploy/{PREPROCESS}": recipe}}
    return {"name": name, **said}


def _service(
    metadata: dict[str, Any], replicas: dict[str, int], model: dict[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": {**replicas, "model": model}},
    }


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(document, sort_keys=False))
