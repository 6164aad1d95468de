"""Where a server listens, as sockets and URLs write it."""

from __future__ import annotations

import ipaddress


def netloc(host: str, port: int) -> str:
    """Write an address and port; an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether a name or address (no brackets) is this machine's own and no network's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # RFC 6761, 6.3: browsers never ask a name server for these.
        return host == "localhost" or host.endswith(".localhost")
