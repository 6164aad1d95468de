"""grpc.health.v1, which Kubernetes, Envoy and grpc_health_probe ask.

Its two messages have one field each, and have not changed since 2016: they are read and written
here. The package grpcio-health-checking of grpcio 1.85 wants protobuf 7.35, tritonclient 2.73 one
below 7; and it keeps a state that had to be pushed to it at every change, where ours is asked.
"""

from __future__ import annotations

from simam_deploy.serve.protocol.refusals import BadRequest, NotFound

HEALTH = "grpc.health.v1.Health"
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"
"""HealthCheckResponse: field 1, an enum."""
_SERVICE = b"\x0a"
"""HealthCheckRequest: field 1, a string; its length is one byte where it is below 128."""


def health_answer(content: bytes, ready: bool, served: str) -> bytes:
    """Answer a HealthCheckRequest with a HealthCheckResponse, both as they go over the wire.

    Args:
        content: The request.
        ready: Whether requests are served.
        served: The service that can be asked for, beside "" for the whole server.

    Raises:
        BadRequest: It is no request.
        NotFound: It asks for another service, as the protocol has it.
    """
    if content and (content[:1] != _SERVICE or len(content) < 2 or len(content) != 2 + content[1]):
        raise BadRequest("the request is no HealthCheckRequest of a service that is known here")
    if content[2:] not in (b"", served.encode()):
        raise NotFound(f"unknown service {content[2:].decode(errors='replace')!r:.80}")
    return _SERVING if ready else _NOT_SERVING
