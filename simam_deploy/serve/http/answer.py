"""What routes share: which model is asked for, and how its answer is written."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from simam_deploy.serve.models.model import Model
from simam_deploy.serve.models.repository import Repository


def json_response(document: Any, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(orjson.dumps(document), status, media_type="application/json")


def model_of(repository: Repository, request: Request) -> Model:
    """Find the model that a path names.

    Raises:
        NotFound: It is not loaded.
    """
    params = request.path_params
    return repository.get(params["model"], params.get("version", ""))
