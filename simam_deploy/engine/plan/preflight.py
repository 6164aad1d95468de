"""What is checked before a plan is loaded: a plan can run code, and fits one machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from simam_deploy.core.artifacts import Manifest
from simam_deploy.core.files import sha256_of
from simam_deploy.core.manifest import check_content, check_file, manifest_path
from simam_deploy.engine.flavours.choose import FLAVOURS, Flavour, load_library
from simam_deploy.engine.flavours.tensorrt import AMPERE_PLUS
from simam_deploy.engine.plan.manifest import read_manifest
from simam_deploy.errors import EngineError
from simam_deploy.op.find import is_kernels
from simam_deploy.runtime.gpu import Gpu

FindPlugin = Callable[[str], Path | None]

_SHOWN = 12
"""Digits of a hash in a message."""
_AMPERE = 80


def check_plan(
    plan: Path, gpu: Gpu | None, find_plugin: FindPlugin, content: bytes | None = None
) -> Manifest:
    """Check a plan against its manifest, and its manifest against this machine.

    Args:
        plan: The plan.
        gpu: The device it is to run on; None leaves it unchecked.
        find_plugin: Gives the plugin library of this machine by the flavour's name.
        content: The plan's bytes, where they were read to be loaded: these are held against its
            hash, then, and not what lies under its name by now.

    Returns:
        The manifest.

    Raises:
        EngineError: The plan or the manifest is missing, they do not belong together, or the plan
            is for another version, architecture or plugin; says how to rebuild it.
    """
    if not plan.is_file():
        raise EngineError(f"cannot load {plan}: no such file")
    document = read_manifest(plan)
    try:
        if content is None:
            check_file(plan, document["files"][0], EngineError)
        else:
            check_content(plan.name, content, document["files"][0], EngineError)
        _check_version(plan, document)
        _check_target(plan, document, gpu)
        _check_plugin(plan, document, find_plugin)
    except (LookupError, TypeError, AttributeError) as error:
        raise EngineError(f"{manifest_path(plan)} makes no sense: {error!r}") from error
    except EngineError as error:
        raise EngineError(f"{error}. To rebuild: {document['command']}") from error.__cause__
    return document


def flavour_of(plan: Path) -> Flavour:
    """Tell by its first bytes which library wrote a plan that is trusted without a manifest.

    Raises:
        EngineError: It is no plan.
    """
    try:
        with plan.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise EngineError(f"cannot load {plan}: {error.strerror}") from error
    names = {b"ftrt": "tensorrt", b"vtrt": "tensorrt_rtx"}
    if start not in names:
        raise EngineError(f"{plan} is no TensorRT plan: it begins with {start.hex() or 'nothing'}")
    return FLAVOURS[names[start]]


def _check_version(plan: Path, document: Mapping[str, Any]) -> None:
    if document["flavour"] not in FLAVOURS:
        raise EngineError(f"{plan.name} is of an unknown kind, {document['flavour']!r}")
    flavour = FLAVOURS[document["flavour"]]
    found = load_library(flavour).__version__
    if found != document["version"]:
        raise EngineError(
            f"{plan.name} was built by {flavour.title} {document['version']}, {found} is installed"
        )


def _check_target(plan: Path, document: Mapping[str, Any], gpu: Gpu | None) -> None:
    targets = document["targets"]
    if gpu is None or targets == ["default"]:
        return
    if targets == [AMPERE_PLUS]:
        fits = int(gpu.sm.removeprefix("sm")) >= _AMPERE
    elif targets == ["current"]:
        built_on = document.get("gpu") or {}
        targets, fits = [built_on.get("sm")], built_on.get("sm") == gpu.sm
    else:
        fits = gpu.sm in targets
    if not fits:
        wanted = ", ".join(map(str, targets))
        raise EngineError(f"{plan.name} was built for {wanted}; this is a {gpu.name} ({gpu.sm})")


def _check_plugin(plan: Path, document: Mapping[str, Any], find_plugin: FindPlugin) -> None:
    """The plan carries its plugin; one of another hash here means that it is out of date."""
    built_with = document["plugin"]
    if not built_with or is_kernels(built_with["file"]):
        return  # kernels are a part of the plan, and no library answers for them
    plugin = find_plugin(document["flavour"])
    if plugin is None:
        return
    found = sha256_of(plugin)
    if found != built_with["sha256"]:
        raise EngineError(
            f"{plan.name} was built with plugin {built_with['file']} "
            f"{built_with['sha256'][:_SHOWN]}..., here is {found[:_SHOWN]}..."
        )
