"""The bearer token, by whatever way it comes."""

from __future__ import annotations

import hmac

from simam_deploy.serve.protocol.refusals import Unauthorized


def check_token(token: str | None, authorization: str | bytes | None) -> None:
    """Compare the bearer token in constant time.

    Args:
        token: The one that is asked for, None where none is.
        authorization: What the request brought, None where it brought nothing.

    Raises:
        Unauthorized: It is missing or wrong.
    """
    if token is None:
        return
    given = authorization.encode() if isinstance(authorization, str) else authorization or b""
    if not hmac.compare_digest(given, b"Bearer " + token.encode()):
        raise Unauthorized("a bearer token is needed: Authorization: Bearer TOKEN")
