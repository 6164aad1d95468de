"""The routes that take a picture: classify it, detect in it, or cut out what is found in it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

import orjson
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
from simam_deploy.serve.protocol.deadline import Deadline
from simam_deploy.serve.protocol.exchange import Query
from simam_deploy.serve.protocol.refusals import BadRequest, TooLarge, Unsupported
from simam_deploy.source.samples.picture_inputs import Picture, PictureInputs

T = TypeVar("T")
Parts = tuple[str, Iterable[dict[str, Any]]]
"""What was found in a picture, and the name of that in the answer."""
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
        answer |= await _attention(picture, _prepared(model, request, deadline, maps))
    return json_response(answer)


async def detect(repository: Repository, request: Request) -> Response:
    """Detect in the JPEG or PNG file in the body: `?threshold=0.25`, and `?masks=1` for masks.

    Boxes and masks are in pixels of the picture as it was sent, once it is turned upright; width
    and height say which way that is. Masks are there where the model gives them, one picture's at
    a time. `?attention=1` gives the gates, as for `classify`.
    """
    masks, least = bool(_count(request, "masks", 0)), _share(request, "threshold", SURE)

    def collect(model: Model, outputs: Feeds, picture: Picture) -> Parts:
        return "detections", found_in(model, outputs, picture, least, masks)

    return await _seen(repository, request, check_detects, collect)


async def segment(repository: Repository, request: Request) -> Response:
    """Tell which pixels are what: `detections` with masks, or `regions` of classes.

    As `detect` in all else.
    """
    least = _share(request, "threshold", SURE)

    def collect(model: Model, outputs: Feeds, picture: Picture) -> Parts:
        if has_boxes(model):
            return "detections", found_in(model, outputs, picture, least, masks=True)
        return "regions", regions_in(model, outputs, picture)

    return await _seen(repository, request, check_segments, collect)


async def _seen(
    repository: Repository,
    request: Request,
    check: Callable[[Model], None],
    collect: Callable[[Model, Feeds, Picture], Parts],
) -> Response:
    """Run a model on the picture in the body, and answer with what is collected of its outputs."""
    repository.check_loaded()
    model = model_of(repository, request)
    model.batcher.check_room()
    inputs = inputs_of(model)
    check(model)
    deadline, picture = await _picture(model, repository, request, inputs)
    model = model_of(repository, request)  # a reload may have replaced it meanwhile
    feeds = inputs_of(model).feeds(picture)
    outputs = await watched(request.scope, model.infer(Query(feeds), deadline.spent))
    height, width = picture.placement.picture
    most = repository.room.limit
    finding = repository.decoders.run(
        _WEIGHT * height * width, _written, most, collect, model, outputs, picture
    )
    name, found = await _prepared(model, request, deadline, finding)
    answer = {
        "model_name": model.name,
        "model_version": model.version,
        "width": width,
        "height": height,
        name: found,
        **({"turned_upright": True} if picture.turned else {}),
    }
    if _count(request, "attention", 0):
        maps = repository.decoders.run(0, model.attention.heatmaps, feeds)
        answer |= await _attention(picture, _prepared(model, request, deadline, maps))
    return json_response(answer)


async def _attention(
    picture: Picture, maps: Coroutine[Any, Any, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Give the gates, and the rectangle of the picture that each map covers; or why there are none.

    The rectangle is left, top, right, bottom, as boxes are; it reaches beyond the picture where the
    input was padded, and within where it was cropped.
    """
    height, width = picture.array.shape[-2:]
    covers = picture.placement.input_in_picture((height, width))
    try:
        gates = await maps
    except Unsupported as why:
        return {"attention": [], "attention_note": str(why)}
    return {"attention": gates, "attention_box": [round(float(side), 2) for side in covers]}


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


def _written(
    most: int, collect: Callable[..., Parts], *given: Any
) -> tuple[str, list[orjson.Fragment]]:
    """Collect and write down, one by one: all at once would hold up the event loop's thread.

    Raises:
        TooLarge: They come to more than `most` bytes.
    """
    name, parts = collect(*given)
    written: list[orjson.Fragment] = []
    for each in parts:
        text = orjson.dumps(each)
        most -= len(text)
        if most < 0:
            raise TooLarge("the masks take more memory than one answer may: ask for fewer")
        written.append(orjson.Fragment(text))
    return name, written


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
