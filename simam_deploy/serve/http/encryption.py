"""TLS: the certificate and the key, and what is wrong with them."""

from __future__ import annotations

import ssl
from pathlib import Path

from simam_deploy.errors import InputError


def encryption_of(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Load a certificate chain and its key, both PEM; None for none.

    An encrypted key is refused: OpenSSL would ask the terminal, or wait for ever without one.

    Raises:
        InputError: They cannot be used.
    """
    if certificate is None or key is None:
        return None

    def ask() -> str:
        raise InputError(
            f"the key in {key} is encrypted: decrypt it with `openssl pkey` into a file that only "
            "the server can read"
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, ask)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"cannot use {certificate} and {key}: {error}") from error
    return context
