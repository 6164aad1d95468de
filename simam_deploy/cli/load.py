"""`simam load`: how fast one's own server answers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simam_deploy.cli.help import fitted
from simam_deploy.cli.options import shape
from simam_deploy.cli.process import INTERRUPTED, Steps, run
from simam_deploy.errors import InputError

if TYPE_CHECKING:
    from simam_deploy.serve.load import LoadReport

CLOSED_CONNECTIONS = 16
OPEN_CONNECTIONS = 64
"""For an open loop: at 1,000 requests a second enough for a mean latency of 64 ms."""

_EPILOG = """examples:
  simam-load                                        # 16 clients for 10 s on port 8000
  simam-load grpc://127.0.0.1:8001 --model digits --clients 32
  simam-load http://127.0.0.1:8000 --rate 500 --seconds 30 --json
  simam-load --model det --shape images=1x3x640x640

Latencies are those of answered requests. With --rate they count from the time at which a request
was due, so that one slow answer does not hide the wait of those behind it.
Exit codes: 0 done, 1 no usable server, 2 usage, 130 interrupted (what was measured is printed)."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-load",
        description="Put a bounded load on your own KServe V2 server and measure the answers.",
        epilog=_EPILOG,
    )
    p.add_argument(
        "url", nargs="?", default="http://127.0.0.1:8000",
        help="http://HOST:PORT or grpc://HOST:PORT (%(default)s)",
    )  # fmt: skip
    p.add_argument("--model", help="its name (default: the server's only one)")
    _load_options(p)
    p.add_argument(
        "--shape", type=_shape, action="append", default=[], metavar="INPUT=SHAPE",
        help="full shape of an input with more free dimensions than the batch",
    )  # fmt: skip
    p.add_argument("--token-file", metavar="FILE", help="holds the server's bearer token")
    p.add_argument(
        "--allow-remote", action="store_true",
        help="the host may be another machine: only for a server of your own",
    )  # fmt: skip
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return p


def _load_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("the load")
    group.add_argument(
        "--clients", type=int,
        help="connections, one request at a time on each "
        f"({CLOSED_CONNECTIONS}; with --rate {OPEN_CONNECTIONS})",
    )  # fmt: skip
    group.add_argument("--rate", type=float, help="requests a second, sent when due (open loop)")
    group.add_argument("--seconds", type=float, default=10.0, help="how long (%(default)g)")
    group.add_argument("--batch", type=int, default=1, help="items in a request (%(default)s)")
    group.add_argument("--timeout", type=float, default=10.0, help="of a request (%(default)g s)")
    group.add_argument("--seed", type=int, default=0, help="of the inputs (%(default)s)")


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Read `input=1x3x224x224`."""
    name, _, sizes = text.rpartition("=")
    return name, shape(sizes)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    reports: list[LoadReport] = []
    code = run(parser(), lambda args: reports.append(_load(args)), argv)
    return code or (INTERRUPTED if reports[0].interrupted else 0)


def _load(args: argparse.Namespace) -> LoadReport:
    from simam_deploy.report.load_text import load_table
    from simam_deploy.serve.load import Plan, run_load

    clients = CLOSED_CONNECTIONS if args.rate is None else OPEN_CONNECTIONS
    plan = Plan(
        seconds=args.seconds,
        clients=clients if args.clients is None else args.clients,
        rate=args.rate,
        batch=args.batch,
        timeout=args.timeout,
        seed=args.seed,
    )
    report = run_load(
        args.url,
        plan,
        model=args.model,
        shapes=dict(args.shape),
        token=_token(args.token_file),
        allow_remote=args.allow_remote,
        progress=Steps(args.quiet),
    )
    print(json.dumps(report.to_json(), indent=2) if args.json else fitted(load_table(report)))
    return report


def _token(file: str | None) -> str | None:
    """Read the token from a file: a command line is there for all to read."""
    if file is None:
        return None
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise InputError(f"cannot read the token in {file}: {error}") from None
    if not token or not token.isprintable():
        raise InputError(f"{file} holds no token: want one line of printable characters")
    return token
