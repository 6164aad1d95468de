"""Deploy the models to a Ray cluster, and take them down."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simam_deploy.errors import InputError, UsageError
from simam_deploy.serve.settings import Settings

Say = Callable[[str], None]

NAME = "simam"
ENVIRONMENT = {
    # Ray's own proxy is Python: 117 requests a second on two cores, HAProxy 430 to 454.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    # Spread over all nodes, or the head's replicas get everything.
    "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0",
    # A request may be sent again when its replica dies: computing it twice does no harm.
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response junk-response",
    # Only a request that fits a buffer can be sent again: 16 kB by default, a 3x224x224 float
    # image has 602 kB. A connection takes two buffers, so there are fewer of them than 4,096.
    "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": str(1 << 20),
    "RAY_SERVE_HAPROXY_MAXCONN": "1024",
}
"""What the processes of a cluster's nodes are to have in their environment."""


@dataclass(frozen=True)
class Scale:
    """How far the deployment may grow.

    Args:
        min_replicas: Replicas that are always there.
        max_replicas: Replicas at most; one more is started while those there are all busy.
        cpus: CPUs that Ray sets aside for a replica.
        gpus: GPUs likewise.

    Raises:
        UsageError: A figure is out of range.
    """

    min_replicas: int = 1
    max_replicas: int = 4
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas <= 1000:
            raise UsageError(
                f"the replicas must be 1 <= min <= max <= 1000, got {self.min_replicas} to "
                f"{self.max_replicas}"
            )
        if not (0 < self.cpus <= 1024 and 0 <= self.gpus <= 64):
            raise UsageError(f"got {self.cpus:g} CPUs and {self.gpus:g} GPUs a replica")


class RayService:
    """A running deployment; `url` is where it answers on the head node."""

    def __init__(self, url: str) -> None:
        self.url = url

    def wait(self) -> None:
        """Wait for Ctrl-C or SIGTERM; for the main thread."""
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        stopped.wait()

    def stop(self) -> None:
        """Answer what is in flight, take the models down, and leave the cluster."""
        import ray
        from ray import serve

        serve.delete(NAME)
        ray.shutdown()


def deploy_ray(
    models: Mapping[str, Path],
    settings: Settings,
    scale: Scale | None = None,
    *,
    address: str | None = None,
    say: Say = lambda line: None,
) -> RayService:
    """Deploy models to Ray Serve and wait until they are ready.

    Every replica holds every model, batches by itself, and answers the V2 protocol over HTTP as
    simam-serve does, but for loading and unloading. A request of up to 1 MiB whose replica or node
    dies is sent to another one.

    Args:
        models: The .onnx file of every name; each node opens it under this path.
        settings: Limits of a replica; host and port are those that the head node listens on.
        scale: How far to grow; by default 1 to 4 replicas of one CPU.
        address: The cluster's, as ray.init takes it; None starts one on this machine. The nodes
            of a cluster have to be started with `ENVIRONMENT`.
        say: Told what happens.

    Returns:
        The deployment, which goes on until it is stopped.

    Raises:
        InputError: Ray or a file is missing, the cluster does not answer, or a model does not run.
        UsageError: The settings or files are such as Ray Serve is not used for here.
    """
    _check(models, settings)
    os.environ.update({k: v for k, v in ENVIRONMENT.items() if k not in os.environ})
    try:
        import ray
        from ray import serve
    except ModuleNotFoundError:
        raise InputError("Ray is missing: pip install 'simam-deploy[ray]'") from None
    _join(ray, address, say)
    service = RayService(f"http://{settings.host}:{settings.http_port}")
    try:
        say("starting replicas")
        serve.start(http_options={"host": settings.host, "port": settings.http_port})
        application = _deployment(serve, settings, scale or Scale())
        paths = {name: path.resolve() for name, path in models.items()}
        serve.run(application.bind(paths, settings), name=NAME, route_prefix="/")
    except RuntimeError as error:
        reason = _reason(serve, error)
        service.stop()
        raise InputError(f"Ray Serve does not start the models: {reason}") from error
    except BaseException:
        service.stop()
        raise
    return service


def _check(models: Mapping[str, Path], settings: Settings) -> None:
    if settings.certificate is not None:
        raise UsageError("Ray's proxy takes no certificate: put TLS in front of it")
    if settings.http_port == 0:
        raise UsageError("Ray's proxy needs a port, got 0")
    for path in models.values():
        if path.suffix != ".onnx":
            raise UsageError(f"{path} is no .onnx: each node opens the file, so export it first")
        if not path.is_file():
            raise InputError(f"cannot serve {path}: no such file")


def _join(ray: Any, address: str | None, say: Say) -> None:
    say("joining the cluster" if address else "starting Ray on this machine")
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"no Ray cluster at {address}: {error}") from error


def _reason(serve: Any, error: RuntimeError) -> str:
    """Find our own error in the status, which holds a replica's traceback; else Ray's words."""
    application = serve.status().applications.get(NAME)
    messages = [d.message for d in application.deployments.values()] if application else []
    lines = [line.strip() for message in messages for line in message.splitlines()]
    ours = [line for line in lines if line.startswith("simam_deploy.errors.")]
    return ours[-1].partition(": ")[2] if ours else str(error)


def _deployment(serve: Any, settings: Settings, scale: Scale) -> Any:
    """Describe the deployment: a replica that has a batch under way and a batch waiting is busy."""
    from simam_deploy.serve.ray.replica import Replica

    return serve.deployment(
        serve.ingress()(Replica),
        name=NAME,
        ray_actor_options={"num_cpus": scale.cpus, "num_gpus": scale.gpus},
        autoscaling_config={
            "min_replicas": scale.min_replicas,
            "max_replicas": scale.max_replicas,
            "target_ongoing_requests": 2 * settings.max_batch_size * settings.instances,
        },
        max_ongoing_requests=settings.max_queue,
        graceful_shutdown_timeout_s=settings.drain_timeout,
    )
