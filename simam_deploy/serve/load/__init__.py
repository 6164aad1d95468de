"""Load on one's own server, bounded in time and rate: what it answers, and how fast."""

from simam_deploy.serve.load.plan import Plan
from simam_deploy.serve.load.report import LoadReport
from simam_deploy.serve.load.run import run_load

__all__ = ["LoadReport", "Plan", "run_load"]
