"""Hand an artifact to a runtime that is not ours: Triton, KServe, ONNX Runtime's RTX provider."""

from simam_deploy.serve.deploy.epcontext import epcontext_place, write_epcontext
from simam_deploy.serve.deploy.kserve import write_kserve
from simam_deploy.serve.deploy.result import Deployment
from simam_deploy.serve.deploy.triton import model_place, write_triton

__all__ = [
    "Deployment",
    "epcontext_place",
    "model_place",
    "write_epcontext",
    "write_kserve",
    "write_triton",
]
