"""The routes that take a picture: classify it, detect in it, or cut out what is found in it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from simam_deploy.core.arrays import Feeds
from simam_deploy.detect.decoding import SURE
from simam_deploy.serve.http.answer import json_response, model_of
from simam_deploy.serve.http.app import watched
from simam_deploy.serve.models.detect import check_detects, found_in, has_boxes
from simam_deploy.serve.models.model import Model
from simam_deploy.serve.models.pictures import inputs_of, rank, read_picture, scores_of
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.models.segment import check_segments, regions_in
from simam_deploy.serve.protocol.exchange import Query
from simam_deploy.serve.protocol.refusals import BadRequest, Unsupported
from simam_deploy.source.samples.picture_inputs import Picture, PictureInputs


async def classify(
    decoding: asyncio.Semaphore, repository: Repository, request: Request
) -> Response:
    """Classify the JPEG or PNG file in the body: `?top=5`, and `?attention=1` for the gates.

    A model that does not show its gates has none, and a note that says why. A picture whose EXIF
    says that it was stored on its side is turned upright, and the answer says so.
    One picture is decoded at a time: one of 89 million pixels takes 270 MB meanwhile.
    """
    repository.check_loaded()
    model = model_of(repository, request)
    model.batcher.check_room()
    inputs, scores = inputs_of(model), scores_of(model)
    top = _count(request, "top", 5)
    if top < 1:
        raise BadRequest("top must be a number from 1, got '0'")
    picture = await _picture(decoding, request, inputs)
    model = model_of(repository, request)  # a reload may have replaced it meanwhile
    feeds = inputs_of(model).feeds(picture)
    outputs = await watched(request.scope, model.infer(Query(feeds)))
    answer: dict[str, Any] = {
        "model_name": model.name,
        "model_version": model.version,
        "classes": rank(outputs[scores.name], model.labels, top),
        **({"turned_upright": True} if picture.turned else {}),
    }
    if _count(request, "attention", 0):
        answer |= await _attention(model, picture, feeds)
    return json_response(answer)


async def detect(decoding: asyncio.Semaphore, repository: Repository, request: Request) -> Response:
    """Detect in the JPEG or PNG file in the body: `?threshold=0.25`, and `?masks=1` for masks.

    Boxes and masks are in pixels of the picture as it was sent, once it is turned upright; width
    and height say which way that is. Masks are there where the model gives them, one picture's at
    a time. `?attention=1` gives the gates, as for `classify`.
    """
    masks, least = bool(_count(request, "masks", 0)), _share(request, "threshold", SURE)

    def collect(model: Model, outputs: Feeds, picture: Picture) -> dict[str, Any]:
        return {"detections": found_in(model, outputs, picture, least, masks)}

    return await _found(decoding, repository, request, check_detects, collect)


async def segment(
    decoding: asyncio.Semaphore, repository: Repository, request: Request
) -> Response:
    """Tell which pixels are what: `detections` with masks, or `regions` of classes.

    As `detect` in all else.
    """
    least = _share(request, "threshold", SURE)

    def collect(model: Model, outputs: Feeds, picture: Picture) -> dict[str, Any]:
        if has_boxes(model):
            return {"detections": found_in(model, outputs, picture, least, masks=True)}
        return {"regions": regions_in(model, outputs, picture)}

    return await _found(decoding, repository, request, check_segments, collect)


async def _found(
    decoding: asyncio.Semaphore,
    repository: Repository,
    request: Request,
    check: Callable[[Model], None],
    collect: Callable[[Model, Feeds, Picture], dict[str, Any]],
) -> Response:
    repository.check_loaded()
    model = model_of(repository, request)
    model.batcher.check_room()
    inputs = inputs_of(model)
    check(model)
    picture = await _picture(decoding, request, inputs)
    model = model_of(repository, request)  # a reload may have replaced it meanwhile
    feeds = inputs_of(model).feeds(picture)
    outputs = await watched(request.scope, model.infer(Query(feeds)))
    height, width = picture.placement.picture
    async with decoding:
        found = await asyncio.to_thread(collect, model, outputs, picture)
    answer = {
        "model_name": model.name,
        "model_version": model.version,
        "width": width,
        "height": height,
        **found,
        **({"turned_upright": True} if picture.turned else {}),
    }
    if _count(request, "attention", 0):
        answer |= await _attention(model, picture, feeds)
    return json_response(answer)


async def _attention(model: Model, picture: Picture, feeds: Feeds) -> dict[str, Any]:
    """Give the gates, and the rectangle of the picture that each map covers; or why there are none.

    The rectangle is left, top, right, bottom, as boxes are; it reaches beyond the picture where the
    input was padded, and within where it was cropped.
    """
    height, width = picture.array.shape[-2:]
    covers = picture.placement.input_in_picture((height, width))
    try:
        maps = await asyncio.to_thread(model.attention.heatmaps, feeds)
    except Unsupported as why:
        return {"attention": [], "attention_note": str(why)}
    return {"attention": maps, "attention_box": [round(float(side), 2) for side in covers]}


async def _picture(decoding: asyncio.Semaphore, request: Request, inputs: PictureInputs) -> Picture:
    content = await request.scope["read_body"]()
    async with decoding:
        return await asyncio.to_thread(read_picture, content, inputs)


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
