"""The commands that there are; each is a module of its name."""

from __future__ import annotations

COMMANDS = {
    "export": "take a checkpoint to a validated ONNX file",
    "bench": "measure models side by side: time, memory, and agreement beside them",
    "build": "build a TensorRT engine from an ONNX file or a checkpoint, and audit it",
    "doctor": "show what is installed, what it can do here, and what is missing",
    "explain": "show where in a picture a network looks: Grad-CAM and SimAM's gates",
    "inspect": "show the SimAM sites of an ONNX file and what could be better",
    "report": "show an artifact with all that is known of it, as one HTML page",
    "completion": "print what makes a shell complete these commands with Tab",
    "load": "put a bounded load on your own server and measure its answers",
    "serve": "serve models over HTTP and gRPC (KServe V2 protocol)",
    "validate": "hold one model against another: outputs, SimAM gates, accuracy",
}

ASKED = "_ARGCOMPLETE"
"""The variable by which a shell asks for completions."""
