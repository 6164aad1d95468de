"""The `simam` command: its subcommands are modules, imported when they are called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from simam_deploy.core.version import __version__

COMMANDS = {
    "export": "take a checkpoint to a validated ONNX file",
    "bench": "measure models side by side: time, memory, and agreement beside them",
    "build": "build a TensorRT engine from an ONNX file or a checkpoint, and audit it",
    "doctor": "show what is installed, what it can do here, and what is missing",
    "explain": "show where in a picture a network looks: Grad-CAM and SimAM's gates",
    "inspect": "show the SimAM sites of an ONNX file and what could be better",
    "report": "show an artifact with all that is known of it, as one HTML page",
    "load": "put a bounded load on your own server and measure its answers",
    "serve": "serve models over HTTP and gRPC (KServe V2 protocol)",
    "validate": "hold one model against another: outputs, SimAM gates, accuracy",
}

_HELP = """usage: simam COMMAND [OPTION ...]

From a trained SimAM network to a verified ONNX file.

commands (each is also a program of its own, `simam-COMMAND`):
{commands}

`simam COMMAND --help` says more. Exit codes: 0 done, 1 the input cannot be used,
2 usage, 3 validation failed, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the result is the process's exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args and args[0] in COMMANDS:
        command = importlib.import_module(f"simam_deploy.cli.{args[0]}")
        return int(command.main(args[1:]))
    if args == ["--version"]:
        print(f"simam-deploy {__version__}")
        return 0
    listing = "\n".join(f"  {name:10} {about}" for name, about in COMMANDS.items())
    text = _HELP.format(commands=listing)
    if not args or args[0] in ("-h", "--help"):
        print(text)
        return 0
    # As Python writes it: whatever the word holds, it does not steer a terminal.
    import difflib  # 3 ms, for those alone who mistyped

    near = difflib.get_close_matches(args[0], COMMANDS, 1)
    ways_on = f"did you mean {near[0]}?" if near else f"there is {', '.join(COMMANDS)}"
    print(f"simam: error: no command {args[0]!a}; {ways_on}", file=sys.stderr)
    return 2
