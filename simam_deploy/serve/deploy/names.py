"""Names that become folders, URLs and Kubernetes objects."""

from __future__ import annotations

import re

from simam_deploy.errors import UsageError

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def check_model_name(name: str) -> str:
    """Return a name that is one folder and one part of a URL, whatever the system.

    Raises:
        UsageError: It is not.
    """
    if not _MODEL.fullmatch(name):
        raise UsageError(
            f"{name!r} is no model name: at most 128 letters, digits, '.', '_' and '-', "
            "the first a letter or digit"
        )
    return name


def check_service_name(name: str) -> str:
    """Return a name that Kubernetes takes for a service (RFC 1035 label).

    Raises:
        UsageError: It is not.
    """
    if not _LABEL.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a Kubernetes service: at most 63 lower-case letters, digits "
            "and '-', the first a letter, the last no '-'"
        )
    return name
