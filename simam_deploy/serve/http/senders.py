"""Who may ask: what a browser says of the page that had it send a request.

Any page can have its reader's browser send requests to loopback, and one whose own name was made to
resolve to 127.0.0.1 (DNS rebinding) can read the answers too: to the browser they are its own. Its
name is then in Host, which a page cannot choose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from simam_deploy.serve.protocol.address import is_loopback
from simam_deploy.serve.protocol.refusals import BadRequest, Forbidden
from simam_deploy.serve.settings import Settings

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{0,5})?", re.IGNORECASE)
"""Its name or address, without the port, which a forwarded connection may have another of."""
_OWN = (b"same-origin", b"none")
"""Sec-Fetch-Site of the server's own page, and of what a person typed."""


class Senders:
    """The names that a server may be asked by.

    On loopback those are its own and `--allow-host`'s. Elsewhere nobody but the operator knows how
    it is called, so that every name is, until `--allow-host` lists those that are.
    """

    def __init__(self, settings: Settings) -> None:
        self._names = frozenset(name.lower() for name in (*settings.allow_hosts, settings.host))
        self._open = not settings.allow_hosts and not is_loopback(settings.host)
        self._check_one = lru_cache(64)(self._check_name)  # a client says the same each time

    def check_host(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """See that a request is meant for this server.

        Raises:
            BadRequest: It does not say once what server it is for.
            Forbidden: It is for another.
        """
        given = [value for key, value in headers if key == b"host"]
        if len(given) != 1:
            raise BadRequest(f"{len(given)} Host headers: one is wanted")
        self._check_one(given[0])

    def _check_name(self, given: bytes) -> None:
        found = _HOST.fullmatch(given.decode("latin-1"))
        if found is None:
            raise BadRequest(f"the Host header is none: {given!r:.80}")
        name = (found[1] or found[2]).lower().removesuffix(".")
        if not (self._open or name in self._names or is_loopback(name)):
            raise Forbidden(
                f"the host {name!r:.80} is not served here: ask by an address, or the server's "
                "operator lets it in by name"
            )


def check_page(method: str, path: str, headers: dict[bytes, bytes]) -> None:
    """See that no page of another origin had its browser send a request.

    A link to our own page may be followed from anywhere; the other page does not see it.

    Raises:
        Forbidden: One did.
    """
    origin = headers.get(b"origin")
    foreign = bool(origin) and urlsplit(origin or b"").netloc != headers.get(b"host", b"")
    mode, to = headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest")
    followed = (method, path, mode, to) == ("GET", "/", b"navigate", b"document")
    if foreign or (headers.get(b"sec-fetch-site", b"none") not in _OWN and not followed):
        raise Forbidden("requests from other origins are not served")
