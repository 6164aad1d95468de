"""TensorRT-RTX plans, which build without a GPU, and what their text tells.

A plan lists the kernels that it will launch and the tensors they work on, as text. That text is
not documented: a count is good for comparing graphs in one version, and a proxy for passes over
memory, not for time.

A plan with a plugin is built in a process of its own. At the first plugin node the parser opens
libtensorrt_rtx.so, of which the wheel has only the versioned name, and the loader reads its path
when a process starts.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from simam_deploy.engine.plan.plan_facts import read_listing

BATCH = 8
"""What a dynamic batch is optimised for."""
SIDES = (64, 224)
"""Least and most of every other dimension that is free; it is optimised for the most."""
COMPUTE_CAPABILITY = "SM89"
_NEWER = "hardware_forward_compatibility=1"
_FOR = re.compile(r"\n\s+accelerators=\{([^}\n]*)\}")
_PLUGIN = re.compile(r"\n\s+custom_layer=\{[^\n]*? output=\{([^}]*)\} input=\{([^}]*)\}")
_TENSOR = re.compile(r'\n\s+tensor=\{[^\n]* name="([^"\n]+)"[^\n]* strides=\{ ([\d ]+) \}')


def kernels(plan: bytes) -> list[str]:
    """Name the kernels that a plan launches, in its order; plugins are among them.

    Raises:
        ValueError: Its listing holds what may be a kernel or not.
    """
    facts = read_listing(plan)
    if facts is None or facts.unknown:
        raise ValueError(f"operations of unknown kinds: {facts.unknown if facts else 'no listing'}")
    return [launch.name for launch in facts.launches]


def count_launches(plan: bytes) -> int:
    """Count the kernel launches of a plan."""
    return len(kernels(plan))


def architectures(plan: bytes) -> str:
    """Name the GPUs that a plan says it is for, as "sm80 sm86"; "" where it does not say.

    One built for the library's default says sm80, and that it is good for newer ones.
    """
    text = plan.decode("latin1")
    named = sorted({name for names in _FOR.findall(text) for name in names.split()}, key=len)
    return " ".join(named) + (" and newer" if _NEWER in text else "")


def plugin_strides(plan: bytes) -> list[list[tuple[int, ...]]]:
    """Give the strides, (N, C, H, W) in elements, of what each plugin reads and writes as x is.

    These are y, x, and the residual where there is one; H and W must be static.
    """
    text = plan.decode("latin1")
    strides = {name: tuple(map(int, s.split())) for name, s in _TENSOR.findall(text)}
    names = [re.findall(r'"([^"]+)"', f"{given} {made}") for made, given in _PLUGIN.findall(text)]
    return [[strides[n] for n in each if len(strides.get(n, ())) == 4] for each in names]


def build_plan(
    model: bytes, plugin: Path | None = None, target: str | None = COMPUTE_CAPABILITY
) -> bytes:
    """Build a plan in this process.

    Args:
        model: An ONNX file; a free first dimension of an input is a batch, any other a side.
        plugin: Library of a plugin to load before.
        target: What GPUs it is for, as TensorRT-RTX names them; None for its default.

    Raises:
        ImportError: There is no tensorrt_rtx.
        ValueError: It does not take the model or the plugin.
    """
    import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.ERROR)
    if plugin is not None and trt.get_plugin_registry().load_library(str(plugin)) is None:
        raise ValueError(f"TensorRT-RTX does not load {plugin}")
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise ValueError(parser.get_error(0).desc())
    config = builder.create_builder_config()
    if target is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, target), 0)
    _add_profile(builder, network, config)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError("TensorRT-RTX could not build the engine")
    return bytes(plan)


def _add_profile(builder: Any, network: Any, config: Any) -> None:
    """Let a dynamic batch be 1 to BATCH, and what else is free one of SIDES."""
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        free = zip((1, BATCH), SIDES, strict=True)
        least, most = (
            [(side if axis else batch) if d == -1 else d for axis, d in enumerate(tensor.shape)]
            for batch, side in free
        )
        profile.set_shape(tensor.name, least, most, most)
    config.add_optimization_profile(profile)


def build_plan_apart(model: bytes, plugin: Path) -> bytes:
    """Build a plan with a plugin, in a process of its own; arguments are `build_plan`'s.

    Raises:
        ValueError: The process failed; the message is what it said.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model)
        command = [sys.executable, __file__, folder / "model.onnx", plugin, folder / "plan"]
        done = subprocess.run(
            [*map(str, command)],
            env={**os.environ, "LD_LIBRARY_PATH": str(_named_library(folder))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise ValueError(done.stdout or f"ended by {done.returncode}")
        return (folder / "plan").read_bytes()


def _named_library(folder: Path) -> Path:
    """Give the wheel's library, in `folder`, the name that its parser opens."""
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("tensorrt_rtx_libs is missing")
    (library,) = Path(spec.submodule_search_locations[0]).glob("libtensorrt_rtx.so.*")
    (folder / "libtensorrt_rtx.so").symlink_to(library)
    return folder


if __name__ == "__main__":
    source, library, target = map(Path, sys.argv[1:])
    target.write_bytes(build_plan(source.read_bytes(), library))
