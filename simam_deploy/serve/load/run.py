"""One run of load, from the URL to the report."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from simam_deploy.core.progress import Progress
from simam_deploy.errors import InputError, UsageError
from simam_deploy.serve.load.client import Client, Wire
from simam_deploy.serve.load.inputs import make_feeds
from simam_deploy.serve.load.plan import Plan
from simam_deploy.serve.load.report import LoadReport, percentiles
from simam_deploy.serve.load.target import Target, find_target
from simam_deploy.serve.load.traffic import Tally, drive


def run_load(
    url: str,
    plan: Plan,
    *,
    model: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    token: str | None = None,
    allow_remote: bool = False,
    progress: Progress = lambda line: None,
) -> LoadReport:
    """Put load on a V2 server and measure it.

    Every connection is opened and warmed by one request that is not counted. In the main thread,
    Ctrl-C and SIGTERM end the run early: the report then holds what was measured, without the
    requests under way.

    Args:
        url: http://HOST[:8000] (binary tensors) or grpc://HOST[:8001] (raw tensors).
        plan: How much load.
        model: The model's name; not needed where the server has one.
        shapes: Full shapes by input, where more than the batch is free.
        token: The bearer token, where the server wants one.
        allow_remote: Whether the host may be another machine: load is for one's own server.
        progress: Told the figures so far, once a second.

    Returns:
        The report.

    Raises:
        UsageError: The URL or the shapes do not fit, or another machine is named without leave.
        InputError: There is no such server or model, or it answers not one of the first requests.
    """
    target = find_target(url, allow_remote=allow_remote)
    client = _client(target, plan.timeout, token)
    return asyncio.run(_measure(client, target, plan, model, shapes or {}, progress))


def _client(target: Target, timeout: float, token: str | None) -> Client:
    """Import the protocol that is asked for, and no other."""
    try:
        if target.scheme == "http":
            from simam_deploy.serve.load.http_client import HttpClient

            return HttpClient(target, timeout, token)
        from simam_deploy.serve.load.grpc_client import GrpcClient

        return GrpcClient(target, timeout, token)
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is missing: pip install 'simam-deploy[serve]'") from None


async def _measure(
    client: Client,
    target: Target,
    plan: Plan,
    model: str | None,
    shapes: Mapping[str, tuple[int, ...]],
    progress: Progress,
) -> LoadReport:
    name = model or await _only_model(client, target)
    feeds = make_feeds(await client.inputs(name), plan.batch, shapes, plan.seed)
    wires = [client.wire(name, feeds) for _ in range(plan.clients)]
    tally = Tally()
    try:
        await _warm(wires, target)
        cpu, start = time.process_time(), time.perf_counter()
        interrupted = await _drive_until_stopped(wires, plan, tally, progress)
        seconds = time.perf_counter() - start
        used = time.process_time() - cpu
    finally:
        await asyncio.gather(*(wire.close() for wire in wires))
    return LoadReport(
        target=str(target),
        model=name,
        plan=plan,
        seconds=seconds,
        answered=len(tally.latencies),
        unsent=0 if interrupted else max(0, plan.arrivals - tally.sent),
        errors=dict(tally.errors),
        messages=tally.messages,
        latency_ms=percentiles(tally),
        client_cpu=used / seconds,
        interrupted=interrupted,
    )


async def _only_model(client: Client, target: Target) -> str:
    names = await client.models()
    if len(names) != 1:
        found = ", ".join(names) or "no model that is ready"
        raise UsageError(f"{target} has {found}: name one", options=("model",))
    return names[0]


async def _warm(wires: Sequence[Wire], target: Target) -> None:
    """Open every connection with a request.

    Raises:
        InputError: Not one was answered.
    """
    replies = await asyncio.gather(*(wire.send() for wire in wires))
    if all(reply.status for reply in replies):
        raise InputError(f"{target} does not answer: {replies[0].status} {replies[0].message}")


async def _drive_until_stopped(
    wires: Sequence[Wire], plan: Plan, tally: Tally, progress: Progress
) -> bool:
    """Send the load; True where a signal ended it early."""
    driving = asyncio.ensure_future(drive(wires, plan, tally))
    telling = asyncio.ensure_future(_tell(tally, progress))
    try:
        with _signals(driving.cancel):
            await asyncio.wait([driving])
    finally:
        telling.cancel()
    if driving.cancelled():
        return True
    driving.result()
    return False


async def _tell(tally: Tally, progress: Progress) -> None:
    """Say once a second how many were answered and how many failed."""
    before = 0
    while True:
        await asyncio.sleep(1)
        answered = len(tally.latencies)
        failed = tally.errors.total()
        progress(f"{answered - before:,} requests/s, {failed:,} errors")
        before = answered


@contextlib.contextmanager
def _signals(stop: Callable[[], object]) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM call `stop`, where this is the thread that hears of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
