"""One replica: what simam-serve runs in its process, in a process of Ray's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simam_deploy.errors import InputError
from simam_deploy.serve.http.app import App
from simam_deploy.serve.http.asgi import Asgi, Receive, Scope, Send
from simam_deploy.serve.http.routes import make_routes
from simam_deploy.serve.http.sending import send_refusal
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.protocol.refusals import Unsupported
from simam_deploy.serve.settings import Settings

_CHANGES = "/v2/repository/models/"


class Replica:
    """Holds every model; ready when all of them are warm. Ray Serve calls its methods.

    Args:
        models: The file of every name, readable on this node.
        settings: Limits of a replica.
    """

    async def __init__(  # type: ignore[misc]  # Ray awaits it
        self, models: Mapping[str, Path], settings: Settings
    ) -> None:
        self._repository = Repository(models, settings)
        await self._repository.load_all()

    def __serve_build_asgi_app__(self) -> Asgi:
        """Give the HTTP application."""
        return without_changes(App(self._repository, make_routes(self._repository)))

    def check_health(self) -> None:
        """Have Ray replace a replica that is not ready.

        Raises:
            InputError: It is not.
        """
        if not self._repository.ready:
            raise InputError("the models are not loaded")


def without_changes(app: Asgi) -> Asgi:
    """Refuse to load and unload: it would change the one replica that the request comes to."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_CHANGES):
            message = "models are not changed one replica at a time: deploy them anew"
            await send_refusal(Unsupported(message), scope, send)
        else:
            await app(scope, receive, send)

    return guarded
