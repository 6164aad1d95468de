"""What every HTTP request passes, and the path of /infer: plain ASGI, nothing between.

Order matters: who asks, which model, whether there is room, how long the body says it is; only
then is the body read.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable
from typing import Any

from simam_deploy.serve.http import codec
from simam_deploy.serve.http.asgi import Asgi, Receive, Scope, Send
from simam_deploy.serve.http.codec import is_long, read_query
from simam_deploy.serve.http.connection import GuardedProtocol
from simam_deploy.serve.http.senders import Senders, check_page
from simam_deploy.serve.http.sending import BINARY, JSON, send_pieces, send_refusal
from simam_deploy.serve.http.writing import Answer
from simam_deploy.serve.models.model import Model
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.protocol.deadline import Deadline
from simam_deploy.serve.protocol.exchange import Query
from simam_deploy.serve.protocol.packed import told_ports, unpacked
from simam_deploy.serve.protocol.refusals import (
    INTERNAL,
    BadRequest,
    Refusal,
    TooLarge,
    Unsupported,
)
from simam_deploy.serve.protocol.room import Share
from simam_deploy.serve.protocol.token import check_token

Headers = dict[bytes, bytes]

OPEN_PATHS = frozenset(("/", "/v2/health/live", "/v2/health/ready"))
"""Asked without a token: by probes, and by a browser before its user typed one."""

_log = logging.getLogger(__name__)


class ClientGone(Exception):  # noqa: N818 - no error: nobody waits for the answer
    """The client hung up before its request was answered."""


class App:
    """The ASGI application.

    Args:
        repository: The models.
        routes: Every route but /infer.
        senders: Judge by what names the server is asked; None where a proxy, which is asked in its
            place, does.
    """

    def __init__(
        self, repository: Repository, routes: Asgi, senders: Senders | None = None
    ) -> None:
        self._repository = repository
        self._senders = senders
        self._settings = repository.settings
        self._routes = routes
        self._room = repository.room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        share = Share(self._room)
        try:
            headers = dict(scope["headers"])
            self._check_sender(scope, headers)
            names = infer_names(scope["path"]) if scope["method"] == "POST" else None
            if names is None:
                scope["share"] = share
                scope["read_body"] = lambda: self._read(headers, receive, share)
                await self._routes(scope, receive, send)
            else:
                await self._infer(names, headers, scope, receive, send, share)
        except ClientGone:
            pass
        except asyncio.CancelledError:
            if "connection" not in scope:  # ours are cancelled at the end, when they are cut off
                raise
        except Refusal as refusal:
            await send_refusal(refusal, scope, send)
        except Exception:  # a bug of ours: logged whole, told as 500, and no other request's end
            _log.exception("%s %s failed", scope["method"], scope["path"])
            await send_refusal(Refusal(INTERNAL), scope, send)
        finally:
            share.give_back()

    def _check_sender(self, scope: Scope, headers: Headers) -> None:
        """See that the sender may ask.

        Raises:
            BadRequest, Forbidden: As `Senders.check_host` and `check_page`.
            Unauthorized: The token is missing or wrong.
        """
        if self._senders is not None:
            self._senders.check_host(scope["headers"])
        if scope["path"] not in OPEN_PATHS:
            check_token(self._settings.token, headers.get(b"authorization"))
        check_page(scope["method"], scope["path"], headers)

    async def _infer(
        self,
        names: tuple[str, str],
        headers: Headers,
        scope: Scope,
        receive: Receive,
        send: Send,
        share: Share,
    ) -> None:
        self._repository.check_loaded()
        self._repository.get(*names).batcher.check_room()
        length = header_length(headers)
        body = await self._read(headers, receive, share)
        # Looked up anew: a reload may have replaced it while the body came in.
        model = self._repository.get(*names)
        deadline = Deadline(self._settings.timeout)
        if is_long(body, length):
            query = await watched(scope, self._read_aside(model, body, length, deadline))
            model = self._repository.get(*names)
        else:
            query = read_query(body, length, model.inputs, model.name)
        share.take(foreseen := model.foreseen(query), "an answer")
        outputs = await watched(scope, model.infer(query, deadline.spent))
        answer = Answer(model.name, model.version, query, outputs, model.outputs)
        share.take(answer.json_size + answer.raw_size, "an answer", instead_of=foreseen)
        if answer.is_long:
            pieces, json_length = await asyncio.to_thread(answer.write)
        else:
            pieces, json_length = answer.write()
        extra: list[tuple[bytes, bytes]] = []
        if json_length is not None:
            extra.append((b"inference-header-content-length", b"%d" % json_length))
        if self._repository.draining:  # the client's next request shall find another server
            extra.append((b"connection", b"close"))
        await send_pieces(send, 200, pieces, JSON if json_length is None else BINARY, *extra)

    async def _read_aside(
        self, model: Model, body: bytes, length: int | None, deadline: Deadline
    ) -> Query:
        """Have much JSON read by another process; the request has its place in the queue."""
        told = {"header_length": length, "model": model.name, "ports": told_ports(model.inputs)}
        with model.batcher.place():
            reading = self._repository.helper.run(codec.read_aside, body, told)
            return unpacked(await deadline.within(reading), model.inputs)

    async def _read(self, headers: Headers, receive: Receive, share: Share) -> bytes:
        """Receive a body within the limits: of one, and of what all requests hold.

        Raises:
            Unsupported: It is compressed.
            TooLarge: It is, or says that it is, beyond the limit.
            Busy: The requests being served hold all the memory they may.
            ClientGone: It stopped in the middle.
        """
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Unsupported("compressed bodies are not served: send it as it is")
        announced = int(headers.get(b"content-length", b"0"))
        self._check_size(announced)
        self._room.check(announced)  # not taken before it is there: the header is a client's word
        body = io.BytesIO()  # one block that grows; joined pieces would be there twice
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            self._check_size(body.tell() + len(chunk))
            share.take(len(chunk), "a body")
            more = message.get("more_body")
            if not more and not body.tell():
                return chunk
            body.write(chunk)
            if not more:
                return body.getvalue()

    def _check_size(self, size: int) -> None:
        limit = min(self._settings.max_body, self._room.limit)
        if size > limit:
            raise TooLarge(f"a body of {size} bytes, {limit} is the limit")


def infer_names(path: str) -> tuple[str, str] | None:
    """Take the model and version out of /v2/models/M[/versions/V]/infer; None for other paths."""
    if not path.endswith("/infer") or not path.startswith("/v2/models/"):
        return None
    match path[11:-6].split("/"):
        case [name]:
            return name, ""
        case [name, "versions", version]:
            return name, version
    return None


def header_length(headers: Headers) -> int | None:
    """Read Inference-Header-Content-Length.

    Raises:
        BadRequest: It is no number.
    """
    text = headers.get(b"inference-header-content-length")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 12:
        raise BadRequest(f"Inference-Header-Content-Length must be a number, got {text!r:.40}")
    return int(text)


async def watched(scope: Scope, work: Awaitable[Any]) -> Any:
    """Await a result, and stop if the client hangs up meanwhile.

    Raises:
        ClientGone: It did.
    """
    connection: GuardedProtocol | None = scope.get("connection")
    if connection is None:
        return await work
    task = asyncio.current_task()
    connection.watch(task)
    try:
        return await work
    except asyncio.CancelledError:
        raise ClientGone from None
    finally:
        connection.watch(None)
