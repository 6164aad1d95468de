"""Every limit and choice of a server, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What `simam-serve` was told.

    Attributes:
        host: Address to listen on.
        http_port: TCP port, 0 for any.
        grpc_port: TCP port, 0 for any, None for no gRPC.
        max_batch_size: Rows (images) in a batch.
        max_delay_us: Microseconds that a request may wait for others to share its batch.
        max_queue: Requests that may wait for a model, or for their pictures to be decoded; one more
            is refused.
        instances: Copies of each model, each with a thread of its own.
        threads: Threads that one copy computes with.
        provider: "auto" (CUDA where there is, else the CPU), "cpu", "cuda" or "tensorrt".
        trust_engine: Whether plans are loaded without their manifests' word.
        timeout: Seconds that a request may take before it is answered 504.
        max_body: Bytes of a request's body.
        max_buffered: Bytes that all requests may hold together: bodies until they are read or
            answered, and answers until they are sent.
        max_connections: Connections over HTTP, and as many over gRPC.
        header_timeout: Seconds for a request's header to arrive whole.
        body_timeout: Seconds for its body; one more for every 64 KiB that did arrive.
        drain_delay: Seconds between "not ready" and the end of listening, for load balancers.
        drain_timeout: Seconds that requests in flight may take after that.
        allow_hosts: Names, without a port, that HTTP requests may call the server by, beside its
            own address and loopback's.
        access_log: File that gets a line of JSON for each request, "-" for stdout, "" for none.
        traces: Base address of a collector that takes OpenTelemetry's traces over HTTP; "" for the
            one that OTEL_EXPORTER_OTLP_ENDPOINT names, None for no traces.
        gate_interval: Seconds between two requests whose gates are looked at, for each model; 0
            for none.
        token: Bearer token that requests must bring, if any.
        certificate: TLS certificate chain, PEM.
        private_key: Its key, PEM.
    """

    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int | None = 8001
    max_batch_size: int = 8
    max_delay_us: int = 500
    max_queue: int = 64
    instances: int = 1
    threads: int = 1
    provider: str = "auto"
    trust_engine: bool = False
    timeout: float = 60.0
    max_body: int = 64 * MIB
    max_buffered: int = 128 * MIB
    max_connections: int = 512
    header_timeout: float = 10.0
    body_timeout: float = 20.0
    drain_delay: float = 0.0
    drain_timeout: float = 30.0
    allow_hosts: tuple[str, ...] = ()
    access_log: str = ""
    traces: str | None = None
    gate_interval: float = 0.0
    token: str | None = None
    certificate: Path | None = None
    private_key: Path | None = None
