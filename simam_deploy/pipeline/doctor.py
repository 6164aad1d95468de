"""What of the way from a checkpoint to a served engine this machine can do, and what is missing."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from simam_deploy.core.files import sha256_of
from simam_deploy.core.version import __version__
from simam_deploy.engine.flavours.choose import FLAVOURS, Flavour, load_library
from simam_deploy.engine.plan.cache import PLAN, cache_folder
from simam_deploy.engine.plan.cache_guard import Entry, check_entry, check_own, entries
from simam_deploy.engine.plan.manifest import read_manifest
from simam_deploy.errors import EngineError, InputError, SimamError
from simam_deploy.op.find import find_plugin
from simam_deploy.pipeline.requirements import unmet
from simam_deploy.runtime.gpu import Gpus, find_gpus


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `advice` says what to do where it is not `fine`."""

    topic: str
    fine: bool
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order of the way a model takes."""

    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the document that `simam doctor --json` prints."""
        return {"version": __version__, "findings": [asdict(f) for f in self.findings]}


def diagnose() -> Diagnosis:
    """Look; nothing is changed, installed or downloaded, and nothing raises."""
    gpus = find_gpus()
    return Diagnosis(
        (
            Finding("python", True, f"{platform.python_version()} on {platform.machine()}"),
            _package("torch", "pip install simam-deploy"),
            _onnxruntime(),
            *(Finding(each.name, False, each.found, each.advice) for each in unmet()),
            _gpu(gpus),
            *(finding for f in FLAVOURS.values() for finding in _flavour(f, gpus)),
            _cache(),
        )
    )


def _package(name: str, advice: str) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", advice)


def _onnxruntime() -> Finding:
    if importlib.util.find_spec("onnxruntime") is None:
        advice = "pip install 'simam-deploy[cpu]', or 'simam-deploy[gpu]' where a GPU is"
        return Finding("onnxruntime", False, "not installed", advice)
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    names = ", ".join(p.removesuffix("ExecutionProvider") for p in providers)
    return Finding("onnxruntime", True, f"{onnxruntime.__version__} on {names}")


def _gpu(gpus: Gpus) -> Finding:
    if not gpus.devices:
        return Finding("gpu", False, gpus.reason, "engines can be built for other machines by rtx")
    named = "; ".join(f"{d.name} ({d.sm}, {d.memory / 2**30:.0f} GiB)" for d in gpus.devices)
    return Finding("gpu", True, f"{named}; the driver serves CUDA {gpus.cuda}")


def _flavour(flavour: Flavour, gpus: Gpus) -> Iterator[Finding]:
    """Say what a flavour can do here, and whether there is a plugin for it."""
    try:
        version = load_library(flavour).__version__
    except EngineError as error:
        found = str(error).removesuffix(f": {flavour.install}")
        yield Finding(flavour.name, False, found, flavour.install)
        return
    builds = flavour.builds_ahead or bool(gpus.devices)
    can = [what for what, able in (("builds", builds), ("runs", bool(gpus.devices))) if able]
    advice = "" if gpus.devices else f"{flavour.title} runs engines on an NVIDIA GPU alone"
    yield Finding(flavour.name, builds, f"{version}: {' and '.join(can) or 'idle'} here", advice)
    yield _plugin(flavour)


def _plugin(flavour: Flavour) -> Finding:
    topic = f"plugin for {flavour.name}"
    try:
        plugin = find_plugin(flavour.name)
    except SimamError as error:
        return Finding(topic, False, str(error), _PLUGIN_ADVICE)
    if plugin is None:
        return Finding(topic, False, "not found", _PLUGIN_ADVICE)
    return Finding(topic, True, f"{plugin}, sha256 {sha256_of(plugin)[:12]}")


_PLUGIN_ADVICE = "not needed: without it SimAM is built from plain operations"


def _cache() -> Finding:
    folder = cache_folder()
    kept = list(entries(folder))
    size = sum(each.size for each in kept)
    found = f"{len(kept)} engines, {size / 1e6:.0f} MB in {folder}"
    try:
        for part in (folder.parent, folder, *(each.folder for each in kept)):
            if part.exists():
                check_own(part)
    except OSError as error:
        return Finding("engine cache", False, found, str(error.strerror))
    return Finding("engine cache", True, found)


def list_cache() -> tuple[Finding, ...]:
    """Look at every plan that is kept, that which was taken longest ago first."""
    return (*(_kept(each) for each in entries(cache_folder())), _cache())


def _kept(entry: Entry) -> Finding:
    """Say what a plan was built from, how large it is, and when it was last taken."""
    taken = datetime.datetime.fromtimestamp(entry.taken).strftime("%Y-%m-%d")
    try:
        check_entry(entry.folder)
        command = read_manifest(entry.folder / PLAN)["command"]
    except (InputError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Finding(entry.folder.name[:12], False, reason, f"remove {entry.folder}")
    found = f"{entry.size / 1e6:.0f} MB, last taken {taken}: {command}"
    return Finding(entry.folder.name[:12], True, found)
