"""What mmdetection and its siblings leave in a checkpoint: their configuration, and class names.

Version 2 writes `meta.config` and `meta.CLASSES`, version 3 `meta.cfg` and `meta.dataset_meta`; the
configuration is Python as text. Pictures come as BGR, and are normalised in units of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

from simam_deploy.errors import InputError
from simam_deploy.source.samples.preparation import made_size
from simam_deploy.source.stated.detector.reading import read_detector
from simam_deploy.source.stated.fields import Held, follow, held
from simam_deploy.source.stated.pipelines import find_steps, kind_of, read_fit
from simam_deploy.source.stated.places import Places, where
from simam_deploy.source.stated.record import Said, Stated
from simam_deploy.source.stated.values import flag, levels, names

_NAMES = (
    ("meta", "CLASSES"),
    ("meta", "dataset_meta", "classes"),
    ("meta", "dataset_meta", "CLASSES"),
    ("message_hub", "runtime_info", "dataset_meta", "classes"),
)
_PREPROCESSORS = (("model", "data_preprocessor"), ("data_preprocessor",), ("img_norm_cfg",))


def read_mmlab(places: Places) -> Stated:
    """Read the configuration; nothing where there is none of theirs."""
    configs = [part for part in places.arguments if is_config(part)]
    found = Stated(classes=tuple(_classes(places.top)))
    for config in configs:
        fits = tuple(_fits(config))
        found += Stated(
            levels=tuple(_levels(config)),
            fits=fits,
            detectors=tuple(_detectors(config)),
            sizes=tuple(Said(size, fit.where) for fit in fits if (size := made_size(fit.value))),
        )
    return found


def is_config(arguments: Held) -> bool:
    """Tell one of their configurations from a script's arguments."""
    return bool(follow(arguments.values, "model", "type") or find_steps(arguments)[0])


def _classes(top: Held) -> Iterator[Said]:
    for path in _NAMES:
        if read := names(follow(top.values, *path)):
            yield Said(read, where(".".join(path)))


def _levels(config: Held) -> Iterator[Said]:
    """Find the first place that normalises: the steps of testing, or the preprocessor."""
    steps, path = find_steps(config)
    normal = [(step, path) for step in steps if kind_of(step) == "Normalize"]
    others = [
        (held(follow(config.values, *names)), f"{config.path}{'.'.join(names)}")
        for names in _PREPROCESSORS
    ]
    for part, place in (*normal, *others):
        swapped = flag(part.get("to_rgb")) or flag(part.get("bgr_to_rgb"))
        if read := levels(part.get("mean"), part.get("std"), "RGB" if swapped else "BGR"):
            yield Said({**read, "scale": 1.0}, where(place))
            return


def _fits(config: Held) -> Iterator[Said]:
    steps, path = find_steps(config)
    preprocessors = [follow(config.values, *names) for names in _PREPROCESSORS[:2]]
    divisors = (held(part).get("pad_size_divisor") for part in preprocessors)
    if steps and (fit := read_fit(steps, next((d for d in divisors if d), None))):
        yield Said(fit, where(path))


def _detectors(config: Held) -> Iterator[Said]:
    """Read a detector: whose file is no whole detector's, its backbone's say, need not be one."""
    if follow(config.values, "model", "type"):
        try:
            yield Said(read_detector(config), where(config.path))
        except InputError as error:
            yield Said(str(error), where(config.path))
