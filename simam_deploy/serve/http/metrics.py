"""The statistics as Prometheus metrics, under Triton's names where Triton has them.

Nothing is counted twice: the numbers are those of `Statistics`, read when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from simam_deploy.serve.models.gates import SiteGates
from simam_deploy.serve.models.model import Model
from simam_deploy.serve.models.repository import Repository

_COUNTERS: tuple[tuple[str, str, Callable[[Model], float]], ...] = (
    ("request_success", "Requests answered", lambda m: m.statistics.success.count),
    ("request_failure", "Requests that failed", lambda m: m.statistics.fail.count),
    ("request_refused", "Requests that found the queue full", lambda m: m.statistics.refused),
    ("count", "Rows computed", lambda m: m.statistics.inferences),
    ("exec_count", "Batches computed", lambda m: m.statistics.executions),
    ("request_duration_us", "Microseconds", lambda m: m.statistics.success.ns / 1e3),
    ("queue_duration_us", "Microseconds waiting", lambda m: m.statistics.queue.ns / 1e3),
    ("compute_input_duration_us", "Microseconds gathering",
     lambda m: m.statistics.compute_input.ns / 1e3),
    ("compute_infer_duration_us", "Microseconds computing",
     lambda m: m.statistics.compute_infer.ns / 1e3),
    ("compute_output_duration_us", "Microseconds splitting",
     lambda m: m.statistics.compute_output.ns / 1e3),
)  # fmt: skip
_LABELS = ("model", "version")


class _Models(Collector):
    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def collect(self) -> Iterable[Metric]:
        models = list(self._repository.models.values())
        for name, about, read in _COUNTERS:
            counter = CounterMetricFamily(f"nv_inference_{name}", about, labels=_LABELS)
            for model in models:
                counter.add_metric((model.name, model.version), read(model))
            yield counter
        pending = GaugeMetricFamily(
            "nv_inference_pending_request_count", "Requests waiting", labels=_LABELS
        )
        for model in models:
            pending.add_metric((model.name, model.version), model.batcher.waiting)
        yield pending
        yield from _gates(models)


_GATES: tuple[tuple[str, str, Callable[[SiteGates], float]], ...] = (
    ("mean", "Mean of a SimAM's gates, 0.67 on lively inputs", lambda site: site.mean),
    ("std", "Standard deviation of a SimAM's gates", lambda site: site.std),
    ("closed_ratio", "Share of gates that are 0.6225, which tell nothing apart",
     lambda site: site.closed),
)  # fmt: skip


def _gates(models: Sequence[Model]) -> Iterable[Metric]:
    """Give the gates of each site in the last request that was looked at."""
    looked = CounterMetricFamily(
        "simam_gate_samples", "Requests whose gates were looked at", labels=_LABELS
    )
    for model in models:
        looked.add_metric((model.name, model.version), model.gates.count)
    yield looked
    for name, about, read in _GATES:
        gauge = GaugeMetricFamily(f"simam_gate_{name}", about, labels=(*_LABELS, "site"))
        for model in models:
            for site, gates in model.gates.sites.items():
                gauge.add_metric((model.name, model.version, site), read(gates))
        yield gauge


def render(repository: Repository) -> tuple[bytes, str]:
    """Write the metrics of all loaded models; the content and its media type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Models(repository))
    return generate_latest(registry), CONTENT_TYPE_LATEST
