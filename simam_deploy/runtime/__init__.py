"""One Runner protocol over every backend; each backend is a module imported when it is needed."""

from simam_deploy.runtime.protocol import Runner

__all__ = ["Runner"]
