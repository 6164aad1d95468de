"""`simam serve`: models behind the KServe V2 protocol, over HTTP and gRPC."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simam_deploy.cli.options import add_options, count, port, positive, seconds
from simam_deploy.cli.process import Steps, run
from simam_deploy.errors import InputError, UsageError
from simam_deploy.pipeline.options import ComparisonOptions
from simam_deploy.report.terminal import one_line

if TYPE_CHECKING:
    from simam_deploy.serve.settings import Settings

TOKEN_VARIABLE = "SIMAM_SERVE_TOKEN"  # noqa: S105 - the variable's name, no token

_EPILOG = f"""examples:
  simam-serve model.onnx
  simam-serve model.engine --instances 2
  simam-serve digits=run/model_best.pth.tar --max-batch-size 16
  simam-serve models/ --host 0.0.0.0 --token-file token --certificate c.pem --private-key k.pem

A .pth is exported first, into a temporary folder. Ctrl-C or SIGTERM: no longer ready, what was
accepted is answered, then the end; SIGHUP: every model is loaded anew without a gap.
Class names are read from model.labels.txt beside model.onnx, one a line.
The token can also be in {TOKEN_VARIABLE}. The page for people is at /, the API's description at
/openapi.json, Prometheus' metrics at /metrics.
Exit codes: 0 ended as asked, 1 a model cannot be used or a port is taken, 2 usage, 3 validation
of a .pth's export failed, 130 interrupted during that export."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-serve",
        description="Serve models over the KServe V2 (Open Inference) protocol.",
        epilog=_EPILOG,
    )
    p.add_argument(
        "models", nargs="+", metavar="[NAME=]PATH",
        help=".onnx, .engine, checkpoint, or a folder of them; the name is the file's stem",
    )  # fmt: skip
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    p.add_argument("--http-port", type=port, default=8000, help="(%(default)s; 0: any)")
    p.add_argument("--grpc-port", type=port, default=8001, help="(%(default)s; 0: any)")
    p.add_argument("--no-grpc", action="store_true", help="HTTP alone")
    _computing_options(p)
    _limit_options(p)
    _security_options(p)
    _watching_options(p)
    _ray_options(p)
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return p


def _computing_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("computing")
    group.add_argument(
        "--provider", choices=["auto", "cpu", "cuda", "tensorrt"], default="auto",
        help="ONNX Runtime's provider (auto: cuda where there is, else cpu)",
    )  # fmt: skip
    group.add_argument(
        "--instances", type=positive, default=1, help="copies of each model (%(default)s)"
    )
    group.add_argument(
        "--threads", type=positive, default=1, help="threads of a copy (%(default)s)"
    )
    group.add_argument(
        "--max-batch-size", type=positive, default=8, help="rows in a batch (%(default)s)"
    )
    group.add_argument(
        "--max-delay-us", type=count, default=500, metavar="US",
        help="how long a request waits for others to share its batch (%(default)s)",
    )  # fmt: skip


def _limit_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("limits")
    group.add_argument(
        "--max-queue", type=positive, default=64,
        help="requests that wait for a model or a decoder; more are answered 503 (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--max-connections", type=positive, default=512,
        help="over HTTP, and as many over gRPC (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--max-body-mb", type=positive, default=64, metavar="MB", help="of a request (%(default)s)"
    )
    group.add_argument(
        "--max-buffered-mb", type=positive, default=128, metavar="MB",
        help="that all requests hold, bodies and answers; more are answered 503 (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="S",
        help="for a request, from its arrival; then 504 (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--drain-delay", type=seconds, default=0.0, metavar="S",
        help="after SIGTERM, serve on as \"not ready\" for a load balancer to see (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--drain-timeout", type=seconds, default=30.0, metavar="S",
        help="then for what is in flight (%(default)s)",
    )  # fmt: skip


def _security_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("security")
    group.add_argument("--token-file", metavar="FILE", help="holds the bearer token to ask for")
    group.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a name that requests may call the server by, beside its address and loopback's "
             "(again for more; by default on loopback none, elsewhere any)",
    )  # fmt: skip
    group.add_argument("--certificate", metavar="PEM", help="TLS certificate chain")
    group.add_argument("--private-key", metavar="PEM", help="its key")
    add_options(group, ComparisonOptions, "trust_engine")


def _watching_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("watching (not on Ray)")
    group.add_argument(
        "--access-log", default="", metavar="FILE",
        help="append a line of JSON for each request; - for stdout",
    )  # fmt: skip
    group.add_argument(
        "--traces", nargs="?", const="", metavar="URL",
        help="send OpenTelemetry traces to a collector, OTLP over HTTP (default URL: "
             "OTEL_EXPORTER_OTLP_ENDPOINT's; needs the extra `otel`)",
    )  # fmt: skip
    group.add_argument(
        "--gate-interval", type=seconds, default=0.0, metavar="S",
        help="look at the gates of a request every so often, for simam_gate_* in /metrics; takes "
             "the model's memory once more (%(default)g: never)",
    )  # fmt: skip


def _ray_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("several machines (HTTP alone; needs the extra `ray`)")
    group.add_argument("--ray", action="store_true", help="deploy the .onnx files on Ray Serve")
    group.add_argument(
        "--ray-address", metavar="ADDRESS",
        help="the cluster's head node (default: a new cluster on this machine)",
    )  # fmt: skip
    group.add_argument(
        "--min-replicas", type=positive, default=1, help="always there (%(default)s)"
    )
    group.add_argument("--max-replicas", type=positive, default=4, help="at most (%(default)s)")
    group.add_argument("--replica-gpus", type=float, default=0.0, help="of each (%(default)g)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    return run(parser(), _serve, argv)


def _serve(args: argparse.Namespace) -> None:
    settings = _settings(args)
    _require(("starlette", "uvicorn", "grpc", "tritonclient", "orjson"), "serve")
    if settings.traces is not None:
        _require(("opentelemetry.sdk", "opentelemetry.exporter"), "otel")
    for line in _warnings(settings, args.token_file):  # in spite of --quiet
        _say(line)
    if args.ray:
        _serve_on_ray(args, settings)
        return
    # NumPy's, in which nothing here is multiplied: to start threads for it takes 0.1 s.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with _uncollected():
        from simam_deploy.pipeline.serve import export_checkpoints, find_sources
        from simam_deploy.serve.server import serve

    sources = find_sources(args.models)
    with tempfile.TemporaryDirectory(prefix="simam-serve-") as folder:
        runnable = export_checkpoints(sources, Path(folder), Steps(args.quiet))
        ended = serve(runnable, settings, _silent if args.quiet else _say)
    if not ended:
        os._exit(0)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Import without looking for cycles of objects: that is a tenth of the time, for nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _serve_on_ray(args: argparse.Namespace, settings: Settings) -> None:
    """Deploy, wait for the signal to end, and take the deployment down."""
    from simam_deploy.pipeline.serve import find_sources
    from simam_deploy.serve.ray import Scale, deploy_ray

    cpus = float(settings.threads * settings.instances)
    scale = Scale(args.min_replicas, args.max_replicas, cpus, args.replica_gpus)
    say = _silent if args.quiet else _say
    service = deploy_ray(
        find_sources(args.models), settings, scale, address=args.ray_address, say=say
    )
    say(f"ready at {service.url}")
    try:
        service.wait()
    finally:
        service.stop()


def _say(line: str) -> None:
    print(f"simam-serve: {one_line(line)}", file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    pass


def _settings(args: argparse.Namespace) -> Settings:
    """Put the options into a record.

    Raises:
        UsageError: A certificate comes without its key, or the other way round.
        InputError: The token file cannot be read.
    """
    from simam_deploy.serve.settings import MIB, Settings

    if (args.certificate is None) != (args.private_key is None):
        raise UsageError("--certificate and --private-key go together")
    return Settings(
        host=args.host,
        http_port=args.http_port,
        grpc_port=None if args.no_grpc else args.grpc_port,
        max_batch_size=args.max_batch_size,
        max_delay_us=args.max_delay_us,
        max_queue=args.max_queue,
        instances=args.instances,
        threads=args.threads,
        provider=args.provider,
        trust_engine=args.trust_engine,
        timeout=args.timeout,
        max_body=args.max_body_mb * MIB,
        max_buffered=args.max_buffered_mb * MIB,
        max_connections=args.max_connections,
        drain_delay=args.drain_delay,
        drain_timeout=args.drain_timeout,
        allow_hosts=tuple(args.allow_host),
        access_log=args.access_log,
        traces=args.traces,
        gate_interval=args.gate_interval,
        token=_token(args.token_file),
        certificate=args.certificate and Path(args.certificate),
        private_key=args.private_key and Path(args.private_key),
    )


def _token(file: str | None) -> str | None:
    """Read the token: never from an option, which every user of the machine could list."""
    if file is None:
        token = os.environ.get(TOKEN_VARIABLE)
        return None if token is None else _checked(token, TOKEN_VARIABLE)
    try:
        return _checked(Path(file).read_text(encoding="utf-8"), file)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the token in {file}: {error}") from error


def _checked(text: str, where: str) -> str:
    """Give a token; an empty one, as a secret that is missing leaves, does not mean "none".

    Raises:
        InputError: It is none.
    """
    token = text.strip()
    if not token or not token.isprintable() or " " in token:
        raise InputError(f"{where} holds no token: one line of printable characters is wanted")
    return token


def _warnings(settings: Settings, token_file: str | None) -> Iterator[str]:
    """Say who may ask, or learn how to, that was perhaps not meant to."""
    from simam_deploy.serve.protocol.address import is_loopback

    if settings.token is None and not is_loopback(settings.host):
        yield (
            f"WARNING: whoever reaches {settings.host} can use, reload and unload the models: "
            "--token-file asks for a token"
        )
    if token_file is not None and Path(token_file).stat().st_mode & 0o044:
        yield f"WARNING: others can read the token in {token_file}: chmod go-r {token_file}"


def _require(modules: Sequence[str], extra: str) -> None:
    """See that what an extra brings is there.

    Raises:
        InputError: It is not.
    """
    import importlib.util

    for module in modules:
        with contextlib.suppress(ModuleNotFoundError):  # of its package
            if importlib.util.find_spec(module) is not None:
                continue
        raise InputError(f"the server needs {module}: pip install 'simam-deploy[{extra}]'")
