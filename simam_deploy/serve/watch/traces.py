"""OpenTelemetry traces: a span of each request, its waiting and its computing, and of its batch.

A request's trace goes on where the client's began (W3C `traceparent`). A batch serves several
requests and belongs to none: it is a trace of its own, which links to every request that shared
it, and each request's computing links to it. What is sampled, and how spans are sent, the usual
OTEL_* variables say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from simam_deploy.core.version import __version__
from simam_deploy.serve.models.seen import Batch, Seen

SERVICE = "simam-serve"
"""The service's name, unless OTEL_SERVICE_NAME says another."""
_STEPS = ("taken", "gathered", "computed", "split")
_OUR_FAULTS = frozenset((500, 503, 504, "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN"))
"""The statuses that are no client's doing."""


class Traces:
    """Sends spans until it is closed.

    Args:
        endpoint: Base address of a collector that takes OTLP over HTTP; None for the one that
            OTEL_EXPORTER_OTLP_ENDPOINT names.
    """

    def __init__(self, endpoint: str | None) -> None:
        exporter = OTLPSpanExporter(endpoint=endpoint and f"{endpoint.rstrip('/')}/v1/traces")
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE}
        resource = Resource.create({"service.version": __version__, **named})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE, __version__)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, seen: Seen, headers: Mapping[str, str]) -> None:
        """Begin the span of a request."""
        seen.trace = self._tracer.start_span(
            f"{seen.method} {seen.path}".strip(),
            context=self._propagator.extract(headers),
            kind=SpanKind.SERVER,
            start_time=seen.at(seen.began),
            attributes=_asked(seen),
        )

    def end(self, seen: Seen) -> None:
        """End it, with what is known by then."""
        span = seen.trace
        if seen.batch is not None:
            self._parts(seen, seen.batch)
        name, version = seen.model
        if name:
            span.set_attributes({"simam.model.name": name, "simam.model.version": version})
        span.set_attributes(_answered(seen))
        if seen.status is None or seen.status in _OUR_FAULTS:
            span.set_status(StatusCode.ERROR)
        span.end()

    def _parts(self, seen: Seen, batch: Batch) -> None:
        """Add what it waited, and what it was computed in."""
        inside = set_span_in_context(seen.trace)
        taken, split = seen.at(batch.timing.taken), seen.at(batch.timing.split)
        waiting = self._tracer.start_span("queue", inside, start_time=seen.at(seen.queued_at))
        waiting.end(taken)
        computing = self._tracer.start_span(
            "compute",
            inside,
            links=[Link(self._of_batch(seen, batch))],
            start_time=taken,
            attributes={"simam.rows": seen.rows, "simam.batch.rows": batch.rows},
        )
        computing.end(split)

    def _of_batch(self, seen: Seen, batch: Batch) -> Any:
        """Give the place of a batch's own trace; the first request that asks tells it."""
        if batch.trace is None:
            times = {step: seen.at(getattr(batch.timing, step)) for step in _STEPS}
            span = self._tracer.start_span(
                "batch",
                context=Context(),
                links=[Link(each.trace.get_span_context()) for each in batch.members],
                start_time=times["taken"],
                attributes={
                    "simam.batch.rows": batch.rows,
                    "simam.batch.requests": len(batch.members),
                },
            )
            for step in ("gathered", "computed"):
                span.add_event(step, timestamp=times[step])
            span.end(times["split"])
            batch.trace = span.get_span_context()
        return batch.trace

    def trace_id(self, seen: Seen) -> str:
        """Name a request's trace, as collectors show it."""
        return f"{seen.trace.get_span_context().trace_id:032x}"

    def close(self) -> None:
        """Send what waits; a collector that does not answer holds this up for some seconds."""
        self._provider.shutdown()


def _asked(seen: Seen) -> dict[str, Any]:
    """Say what was asked, in OpenTelemetry's names."""
    if seen.transport == "grpc":
        service, _, method = seen.method.rpartition("/")
        asked = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    else:
        asked = {"http.request.method": seen.method, "url.path": seen.path}
    return {**asked, "client.address": seen.client}


def _answered(seen: Seen) -> dict[str, Any]:
    if seen.status is None:
        return {"error.type": "client gone"}
    key = "rpc.grpc.status" if seen.transport == "grpc" else "http.response.status_code"
    return {key: seen.status, "http.response.body.size": seen.sent}
