"""Where the load goes: to this machine, unless the user vouches for another."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from simam_deploy.errors import InputError, UsageError

PORTS = {"http": 8000, "grpc": 8001}


@dataclass(frozen=True)
class Target:
    """A server: "http" or "grpc", its numeric address, and its port."""

    scheme: str
    address: str
    port: int

    @property
    def authority(self) -> str:
        """Give `address:port`, an IPv6 address in brackets."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def find_target(url: str, *, allow_remote: bool = False) -> Target:
    """Resolve a URL once, so that what was checked is what is connected to.

    Args:
        url: http://HOST[:8000] or grpc://HOST[:8001].
        allow_remote: Whether HOST may be another machine.

    Raises:
        UsageError: The URL is another kind, or another machine is named without leave.
        InputError: The host is unknown.
    """
    scheme, host, port = _read(url)
    addresses = _resolve(host, port)
    if not allow_remote and not all(ipaddress.ip_address(a).is_loopback for a in addresses):
        raise UsageError(
            f"{host} is not this machine, and load is for one's own server; if it is yours, say so",
            options=("allow_remote",),
        )
    return Target(scheme, addresses[0], port)


def _read(url: str) -> tuple[str, str, int]:
    wanted = f"want http://HOST:PORT or grpc://HOST:PORT, got {url!r}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(wanted) from None
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        raise UsageError(wanted)
    return parts.scheme, parts.hostname, port or PORTS[parts.scheme]


def _resolve(host: str, port: int) -> list[str]:
    """List a host's addresses, IPv4 first: what listens on `localhost` seldom has both."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"cannot resolve {host}: {error}") from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return [str(entry[4][0]).partition("%")[0] for entry in found]
