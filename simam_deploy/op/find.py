"""Find compiled code: TensorRT's plugin, and the operators for ONNX Runtime.

Each flavour of TensorRT has a library of its own, for each wants x in another layout. They are
looked for, the first that is there:

    1. where the environment variable SIMAM_PLUGIN says: a library, or a folder of both
    2. in build/plugin of the checkout, where scripts/build_plugin leaves them
    3. in the package `simam_deploy_plugins`

ONNX Runtime's operators are looked for likewise, by SIMAM_ONNXRUNTIME, and those of its CPU
provider last in the package `simam_deploy_ort`; SIMAM_ONNXRUNTIME=off leaves them out. The library
for the CUDA provider has the CPU's operators too, so that a session takes one of the two.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from simam_deploy.errors import InputError

PLUGIN_VARIABLE = "SIMAM_PLUGIN"
LIBRARIES: Mapping[str, str] = {
    "tensorrt": "libsimam_tensorrt.so",
    "tensorrt_rtx": "libsimam_tensorrt_rtx.so",
}
"""File names by flavour."""

KERNELS = "simam_aot.ptx"
"""The kernels alone, for plans of TensorRT that carry these instead of a library."""

_PLUGINS = "simam_deploy_plugins"
"""The package, which is data: nothing of it is imported."""
_BUILT = Path(__file__).parents[2] / "build" / "plugin"


def find_plugin(flavour: str) -> Path | None:
    """Find the plugin library for a flavour.

    Args:
        flavour: "tensorrt" or "tensorrt_rtx".

    Returns:
        The library's absolute path; None where there is none.

    Raises:
        InputError: SIMAM_PLUGIN names nothing that is there, or the other flavour's library.
    """
    named = os.environ.get(PLUGIN_VARIABLE)
    if named:
        return _named(Path(named), flavour)
    return _built_or_packaged(LIBRARIES[flavour])


def find_kernels() -> Path | None:
    """Find the kernels for a plan that needs no library.

    Returns:
        The absolute path of the PTX, in the folder that SIMAM_PLUGIN names, else in build/plugin or
        the package; None where there is none.
    """
    named = os.environ.get(PLUGIN_VARIABLE)
    if not named:
        return _built_or_packaged(KERNELS)
    kernels = Path(named) / KERNELS
    return kernels.resolve() if kernels.is_file() else None


def _built_or_packaged(file: str) -> Path | None:
    """Give a file of the plugin's build, or of the package."""
    built = _BUILT / file
    if built.is_file():
        return built.resolve()
    package = importlib.util.find_spec(_PLUGINS)
    packaged = Path(package.origin).with_name(file) if package and package.origin else None
    return packaged if packaged and packaged.is_file() else None


OPERATORS_VARIABLE = "SIMAM_ONNXRUNTIME"
OPERATORS: Mapping[str, str] = {
    "cpu": "libsimam_onnxruntime.so",
    "cuda": "libsimam_onnxruntime_cuda.so",
}
"""File names by execution provider."""
_OFF = "off"


def find_operators(provider: str = "cpu") -> Path | None:
    """Find the library of SimAM's operators for one of ONNX Runtime's execution providers.

    Args:
        provider: By its short name, as `OPERATORS` has it; none has operators but these.

    Returns:
        Its absolute path; None where there is none, or it is to be left out.

    Raises:
        InputError: SIMAM_ONNXRUNTIME names nothing that is there.
    """
    named = os.environ.get(OPERATORS_VARIABLE)
    if provider not in OPERATORS or named == _OFF:
        return None
    if named:
        return _named_operators(Path(named), provider)
    built = _BUILT / OPERATORS[provider]
    if built.is_file():
        return built.resolve()
    return _packaged() if provider == "cpu" else None


def _named_operators(path: Path, provider: str) -> Path | None:
    """Give the library that was named, or that of a folder; the CPU's alone serves no other."""
    library = path / OPERATORS[provider] if path.is_dir() else path
    if library.is_file():
        cpu_alone = library.name == OPERATORS["cpu"] and provider != "cpu"
        return None if cpu_alone else library.resolve()
    if path.is_dir() and provider != "cpu":
        return None
    raise InputError(f"{OPERATORS_VARIABLE} names {library}, which is no file: unset it")


def _packaged() -> Path | None:
    """Give the library of the package, if it is installed."""
    try:
        from simam_deploy_ort import library_path  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    return Path(library_path())


def is_kernels(plugin: str | Path) -> bool:
    """Tell kernels from a library, by the name."""
    return Path(plugin).suffix == ".ptx"


def _named(path: Path, flavour: str) -> Path:
    library = path / LIBRARIES[flavour] if path.is_dir() else path
    if not library.is_file():
        raise InputError(
            f"{PLUGIN_VARIABLE} names {path}, but there is no {library}: unset it, or make the "
            "library with scripts/build_plugin"
        )
    if library.name in set(LIBRARIES.values()) - {LIBRARIES[flavour]}:
        raise InputError(
            f"{PLUGIN_VARIABLE} names {library}, which is for the other flavour: name "
            f"{LIBRARIES[flavour]}, or the folder that holds both"
        )
    return library.resolve()
