"""What the server and its models say of themselves, as the protocol's JSON documents.

gRPC has the same documents as messages of the same field names.
"""

from __future__ import annotations

from typing import Any

from simam_deploy.core.version import __version__
from simam_deploy.serve.models.detect import detects
from simam_deploy.serve.models.model import Model
from simam_deploy.serve.models.pictures import classifies
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.models.segment import segments
from simam_deploy.serve.models.statistics import Duration, Statistics
from simam_deploy.serve.protocol.check import Port

EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
Document = dict[str, Any]


def server_document() -> Document:
    """Describe the server; only extensions that work are listed."""
    return {"name": "simam-serve", "version": __version__, "extensions": list(EXTENSIONS)}


FACTS = ("arch", "precision", "lowering", "e_lambda", "e_lambda_source")
"""What of a manifest the page shows."""


def facts_document(model: Model) -> Document:
    """Give what the page shows beside the metadata, which the protocol has no place for."""
    facts = {key: model.facts[key] for key in FACTS if model.facts.get(key) is not None}
    sites = {"simam_sites": len(model.facts["simam_sites"])} if "simam_sites" in model.facts else {}
    asked = {"detects": detects(model), "segments": segments(model)}
    asked["takes_pictures"] = any(asked.values()) or classifies(model)
    return {"runtime": model.runtime, **facts, **sites, **asked}


def model_document(model: Model) -> Document:
    """Describe a model: its name, version and tensors; -1 is a free dimension."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": platform_of(model),
        "inputs": [_tensor(port) for port in model.inputs.values()],
        "outputs": [_tensor(port) for port in model.outputs.values()],
    }


def platform_of(model: Model) -> str:
    """Name the kind of file as Triton does."""
    return "onnxruntime_onnx" if model.path.suffix == ".onnx" else "tensorrt_plan"


def _tensor(port: Port) -> Document:
    return {"name": port.name, "datatype": port.datatype, "shape": list(port.shape)}


def config_document(model: Model) -> Document:
    """Give the model's configuration with Triton's field names.

    Where requests share batches, `dims` are without the batch; `max_batch_size` is 0 elsewhere.
    """
    batch = model.batcher.limits.max_batch or 0
    kind = "KIND_CPU" if "CPUExecutionProvider" in model.runtime else "KIND_GPU"
    document: Document = {
        "name": model.name,
        "platform": platform_of(model),
        "backend": platform_of(model).partition("_")[0],
        "max_batch_size": batch,
        "input": [_config_tensor(port, bool(batch)) for port in model.inputs.values()],
        "output": [_config_tensor(port, bool(batch)) for port in model.outputs.values()],
        "instance_group": [{"name": model.name, "kind": kind, "count": model.instances}],
    }
    if batch:
        delay = model.batcher.limits.max_delay_us
        document["dynamic_batching"] = {"max_queue_delay_microseconds": delay}
    return document


def _config_tensor(port: Port, batched: bool) -> Document:
    dims = port.shape[1:] if batched else port.shape
    return {"name": port.name, "data_type": f"TYPE_{port.datatype}", "dims": list(dims)}


def index_document(repository: Repository) -> list[Document]:
    """List every name that could be loaded, and what became of it."""
    return [_index_entry(repository, name) for name in sorted(repository.sources)]


def _index_entry(repository: Repository, name: str) -> Document:
    """Tell a name's state; of a model that serves on because it could not be replaced, why."""
    model, reason = repository.models.get(name), repository.reasons.get(name, "")
    if model is None:
        return {"name": name, "version": "", "state": "UNAVAILABLE", "reason": reason}
    return {"name": name, "version": model.version, "state": "READY", "reason": reason}


def statistics_document(models: list[Model]) -> Document:
    """Give what models did; times are in nanoseconds, `last_inference` in ms since 1970."""
    return {"model_stats": [_statistics(model) for model in models]}


def _statistics(model: Model) -> Document:
    s: Statistics = model.statistics
    parts = "success", "fail", "queue", "compute_input", "compute_infer", "compute_output"
    return {
        "name": model.name,
        "version": model.version,
        "last_inference": s.last_ms,
        "inference_count": s.inferences,
        "execution_count": s.executions,
        "inference_stats": {part: _duration(getattr(s, part)) for part in parts},
        "batch_stats": [
            {"batch_size": rows, "compute_infer": _duration(d)} for rows, d in s.batches.items()
        ],
    }


def _duration(duration: Duration) -> Document:
    return {"count": duration.count, "ns": duration.ns}
