"""The routes that take a picture: classify it, or detect in it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from simam_deploy.detect.decoding import SURE
from simam_deploy.serve.http.answer import json_response, model_of
from simam_deploy.serve.http.app import watched
from simam_deploy.serve.models.detect import check_detects, found_in
from simam_deploy.serve.models.model import Model
from simam_deploy.serve.models.pictures import inputs_of, rank, read_picture, scores_of
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.protocol.deadline import Deadline
from simam_deploy.serve.protocol.exchange import Query
from simam_deploy.serve.protocol.refusals import BadRequest, TooLarge, Unsupported
from simam_deploy.source.samples.picture_inputs import Picture, PictureInputs

T = TypeVar("T")
_WEIGHT = 8
"""Bytes for a pixel of the picture, to lay one mask over it."""


async def classify(repository: Repository, request: Request) -> Response:
    """Classify the JPEG or PNG file in the body: `?top=5`, and `?attention=1` for the gates.

    A model that does not show its gates has none, and a note that says why. A picture whose EXIF
    says that it was stored on its side is turned upright, and the answer says so.
    """
    repository.check_loaded()
    model = model_of(repository, request)
    model.batcher.check_room()
    inputs, scores = inputs_of(model), scores_of(model)
    top = _count(request, "top", 5)
    if top < 1:
        raise BadRequest("top must be a number from 1, got '0'")
    deadline, picture = await _picture(model, repository, request, inputs)
    model = model_of(repository, request)  # a reload may have replaced it meanwhile
    feeds = inputs_of(model).feeds(picture)
    outputs = await watched(request.scope, model.infer(Query(feeds), deadline.spent))
    answer: dict[str, Any] = {
        "model_name": model.name,
        "model_version": model.version,
        "classes": rank(outputs[scores.name], model.labels, top),
        **({"turned_upright": True} if picture.turned else {}),
    }
    if _count(request, "attention", 0):
        maps = repository.decoders.run(0, model.attention.heatmaps, feeds)
        try:
            answer["attention"] = await _prepared(model, request, deadline, maps)
        except Unsupported as why:
            answer |= {"attention": [], "attention_note": str(why)}
    return json_response(answer)


async def detect(repository: Repository, request: Request) -> Response:
    """Detect in the JPEG or PNG file in the body: `?threshold=0.25`, and `?masks=1` for masks.

    Boxes and masks are in pixels of the picture as it was sent, once it is turned upright; width
    and height say which way that is. Masks are there where the model gives them, one picture's at
    a time.
    """
    repository.check_loaded()
    model = model_of(repository, request)
    model.batcher.check_room()
    inputs = inputs_of(model)
    check_detects(model)
    least, masks = _share(request, "threshold", SURE), bool(_count(request, "masks", 0))
    deadline, picture = await _picture(model, repository, request, inputs)
    model = model_of(repository, request)  # a reload may have replaced it meanwhile
    feeds = inputs_of(model).feeds(picture)
    outputs = await watched(request.scope, model.infer(Query(feeds), deadline.spent))
    height, width = picture.placement.picture
    most = repository.room.limit
    finding = repository.decoders.run(
        _WEIGHT * height * width, _found, most, model, outputs, picture, least, masks
    )
    found = await _prepared(model, request, deadline, finding)
    answer = {
        "model_name": model.name,
        "model_version": model.version,
        "width": width,
        "height": height,
        "detections": found,
        **({"turned_upright": True} if picture.turned else {}),
    }
    return json_response(answer)


async def _picture(
    model: Model, repository: Repository, request: Request, inputs: PictureInputs
) -> tuple[Deadline, Picture]:
    """Receive the picture and prepare it; what it may take in all counts from when it is there."""
    content = await request.scope["read_body"]()
    deadline = Deadline(repository.settings.timeout)
    reading = read_picture(repository.decoders, content, inputs)
    picture = await _prepared(model, request, deadline, reading)
    request.scope["share"].give_back()
    return deadline, picture


async def _prepared(
    model: Model, request: Request, deadline: Deadline, work: Coroutine[Any, Any, T]
) -> T:
    """Await what a thread makes of a picture: in the model's queue, in time, for who still waits.

    Raises:
        Busy: The queue is full.
        TimedOut: It took too long.
    """
    with contextlib.closing(work), model.batcher.place():
        result: T = await watched(request.scope, deadline.within(work))
        return result


def _found(most: int, *given: Any) -> list[orjson.Fragment]:
    """Find and write down, one by one: all at once would hold up the event loop's thread.

    Raises:
        TooLarge: They come to more than `most` bytes.
    """
    written: list[orjson.Fragment] = []
    for each in found_in(*given):
        text = orjson.dumps(each)
        most -= len(text)
        if most < 0:
            raise TooLarge("the masks take more memory than one answer may: ask for fewer")
        written.append(orjson.Fragment(text))
    return written


def _share(request: Request, name: str, default: float) -> float:
    """Read a number from 0 to 1 from the query string.

    Raises:
        BadRequest: It is none.
    """
    text = request.query_params.get(name, str(default))
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise BadRequest(f"{name} must be a number from 0 to 1, got {text!r:.40}")
    return number


def _count(request: Request, name: str, default: int) -> int:
    """Read a number from the query string.

    Raises:
        BadRequest: It is none.
    """
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > 6:
        raise BadRequest(f"{name} must be a number, got {text!r:.40}")
    return int(text)
