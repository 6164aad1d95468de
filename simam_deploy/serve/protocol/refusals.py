"""Why a request is not answered with a result, as a tree.

    Refusal             HTTP   gRPC
    ├── BadRequest      400    INVALID_ARGUMENT
    ├── Unauthorized    401    UNAUTHENTICATED
    ├── Forbidden       403    PERMISSION_DENIED
    ├── NotFound        404    NOT_FOUND
    ├── TooLarge        413    RESOURCE_EXHAUSTED
    ├── Unsupported     415    UNIMPLEMENTED
    ├── ModelFailed     500    INTERNAL
    ├── Busy            503    UNAVAILABLE
    └── TimedOut        504    DEADLINE_EXCEEDED

They are a request's, not the program's: the command's own errors are in `simam_deploy.errors`.
"""

from __future__ import annotations

INTERNAL = "internal error; the server's log says more"
"""All that is told of a fault of ours."""


class Refusal(Exception):  # noqa: N818 - a refusal is an answer
    """The request is answered with `status` and one line."""

    status = 500
    grpc_code = "INTERNAL"


class BadRequest(Refusal):
    """The request contradicts the protocol or the model."""

    status = 400
    grpc_code = "INVALID_ARGUMENT"


class Unauthorized(Refusal):
    """The bearer token is missing or wrong."""

    status = 401
    grpc_code = "UNAUTHENTICATED"


class Forbidden(Refusal):
    """A browser sent it on behalf of another site."""

    status = 403
    grpc_code = "PERMISSION_DENIED"


class NotFound(Refusal):
    """There is no such model, version or route."""

    status = 404
    grpc_code = "NOT_FOUND"


class TooLarge(Refusal):
    """The body is beyond the limit."""

    status = 413
    grpc_code = "RESOURCE_EXHAUSTED"


class Unsupported(Refusal):
    """A media type, compression or extension that is not served."""

    status = 415
    grpc_code = "UNIMPLEMENTED"


class ModelFailed(Refusal):
    """The runtime raised while it computed this request."""


class Busy(Refusal):
    """The queue or the memory for bodies is full, or the model is not ready; try again later."""

    status = 503
    grpc_code = "UNAVAILABLE"


class TimedOut(Refusal):
    """The result was not there in time."""

    status = 504
    grpc_code = "DEADLINE_EXCEEDED"
