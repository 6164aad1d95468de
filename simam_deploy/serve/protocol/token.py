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
    scheme, _, rest = given.partition(b" ")  # RFC 9110, 11.1: a scheme's case says nothing
    right = hmac.compare_digest(rest.strip(b" "), token.encode())
    if scheme.lower() != b"bearer" or not right:
        raise Unauthorized("a bearer token is needed: Authorization: Bearer TOKEN")
