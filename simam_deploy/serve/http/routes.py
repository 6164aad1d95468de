"""Every HTTP route but /infer, on Starlette."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from simam_deploy.serve import describe
from simam_deploy.serve.http.answer import json_response, model_of
from simam_deploy.serve.http.codec import MOST_HERE
from simam_deploy.serve.http.sending import refusal_headers
from simam_deploy.serve.http.shown import classify, detect, segment
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.protocol.refusals import BadRequest, Refusal, TooLarge, Unsupported

_PAGE_MAY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src blob: data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page's policy: its own inline script and style, its own server, nothing else."""


def make_routes(repository: Repository) -> Starlette:
    """Make the application of all routes but /infer."""
    models = "/v2/models/{model}"
    shown = {"/classify": classify, "/detect": detect, "/segment": segment}
    table: list[tuple[str, str, Any]] = [
        ("GET", "/v2/health/live", live),
        ("GET", "/v2/health/ready", ready),
        ("GET", "/v2", server_metadata),
        ("GET", "/v2/models/stats", all_statistics),
        ("POST", "/v2/repository/index", index),
        ("POST", "/v2/repository/models/{model}/load", load),
        ("POST", "/v2/repository/models/{model}/unload", unload),
        ("GET", "/metrics", metrics),
        ("GET", "/openapi.json", openapi),
        ("GET", "/", page),
        *(("GET", prefix + tail, endpoint) for prefix in (models, models + "/versions/{version}")
          for tail, endpoint in (
              ("", model_metadata), ("/ready", model_ready),
              ("/config", model_config), ("/stats", model_statistics))),
        *(("POST", prefix + tail, endpoint)
          for prefix in (models, models + "/versions/{version}")
          for tail, endpoint in shown.items()),
    ]  # fmt: skip
    app = _Routes(
        routes=[
            Route(path, functools.partial(endpoint, repository), methods=[method])
            for method, path, endpoint in table
        ],
        exception_handlers={HTTPException: unrouted, Refusal: refused},
    )
    app.router.redirect_slashes = False
    return app


class _Routes(Starlette):
    """Starlette without its own answer to a fault, which is text/plain: `App` gives the protocol's.

    Starlette sends its answer and raises the fault on, so that nobody could send another.
    """

    def build_middleware_stack(self) -> Any:
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)


async def refused(request: Request, refusal: Exception) -> Response:
    """Answer a refusal in the protocol's form; Starlette would answer it as a fault of its own."""
    assert isinstance(refusal, Refusal)
    response = json_response({"error": str(refusal)}, refusal.status)
    response.headers.update(refusal_headers(refusal))
    return response


async def unrouted(request: Request, error: Exception) -> Response:
    """Answer 404 and 405 in the protocol's form."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path!r:.200}: {error.detail.lower()}"
    response = json_response({"error": message}, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def live(repository: Repository, request: Request) -> Response:
    """Alive until the process ends."""
    return Response()


async def ready(repository: Repository, request: Request) -> Response:
    """Ready from the last warm-up to the signal to end."""
    return Response(status_code=200 if repository.ready else 503)


async def server_metadata(repository: Repository, request: Request) -> Response:
    """Describe the server."""
    return json_response(describe.server_document())


async def model_metadata(repository: Repository, request: Request) -> Response:
    """Describe a model; its facts under `parameters`, which clients leave alone."""
    model = model_of(repository, request)
    facts = describe.facts_document(model)
    return json_response({**describe.model_document(model), "parameters": facts})


async def model_ready(repository: Repository, request: Request) -> Response:
    """Tell whether a model is ready; 404 where it is not there."""
    model_of(repository, request)
    return Response(status_code=200 if repository.ready else 503)


async def model_config(repository: Repository, request: Request) -> Response:
    """Give a model's configuration."""
    return json_response(describe.config_document(model_of(repository, request)))


async def model_statistics(repository: Repository, request: Request) -> Response:
    """Give what a model did."""
    return json_response(describe.statistics_document([model_of(repository, request)]))


async def all_statistics(repository: Repository, request: Request) -> Response:
    """Give what every model did."""
    return json_response(describe.statistics_document(list(repository.models.values())))


async def index(repository: Repository, request: Request) -> Response:
    """List what could be loaded; {"ready": true} in the body leaves out what is not."""
    entries = describe.index_document(repository)
    if (await _document(request)).get("ready") is True:
        entries = [entry for entry in entries if entry["state"] == "READY"]
    return json_response(entries)


async def load(repository: Repository, request: Request) -> Response:
    """Load a model anew from the file it was started with."""
    if (await _document(request)).get("parameters"):
        raise Unsupported("a model is loaded from its own file: no parameters are served")
    await repository.load(request.path_params["model"])
    return json_response({})


async def unload(repository: Repository, request: Request) -> Response:
    """Stop serving a model."""
    await _document(request)
    await repository.unload(request.path_params["model"])
    return json_response({})


async def _document(request: Request) -> dict[str, Any]:
    """Read a request's JSON object; an empty body is an empty one.

    Raises:
        BadRequest: It is none.
        TooLarge: It is far more than what is asked for here.
    """
    body = await request.scope["read_body"]()
    if len(body) > MOST_HERE:
        raise TooLarge(f"{len(body)} bytes of JSON, {MOST_HERE} is the limit here")
    try:
        document = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"failed to parse the request JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadRequest("the request JSON is no object")
    return document


async def metrics(repository: Repository, request: Request) -> Response:
    """Give the counters in Prometheus' text form."""
    from simam_deploy.serve.http.metrics import render  # a tenth of the start, for who may not ask

    content, kind = render(repository)
    return Response(content, media_type=kind)


@functools.cache
def _asset(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()


async def openapi(repository: Repository, request: Request) -> Response:
    """Give the OpenAPI document of the HTTP side."""
    return Response(_asset("openapi.json"), media_type="application/json")


@functools.cache
def _page() -> bytes:
    """Put the page's style and scripts into it, so that it is one answer and asks for no more."""
    whole = _asset("page.html")
    for part in ("page.css", "page_boxes.js", "page_attention.js", "page.js"):
        whole = whole.replace(f"/* {part} */\n".encode(), _asset(part))
    return whole


async def page(repository: Repository, request: Request) -> Response:
    """Give the page for people."""
    return HTMLResponse(_page(), headers={"content-security-policy": _PAGE_MAY})
