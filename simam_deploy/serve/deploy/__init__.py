"""Hand an artifact to a server that is not ours: Triton, or Kubernetes with KServe."""

from simam_deploy.serve.deploy.kserve import write_kserve
from simam_deploy.serve.deploy.result import Deployment
from simam_deploy.serve.deploy.triton import model_place, write_triton

__all__ = ["Deployment", "model_place", "write_kserve", "write_triton"]
