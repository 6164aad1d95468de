"""The embedded server's models on Ray Serve: several nodes, as many replicas as the load asks for.

replica   one copy: the same repository, batcher and HTTP application as simam-serve's
deploy    start or join a cluster, deploy, and take down
"""

from simam_deploy.serve.ray.deploy import RayService, Scale, deploy_ray

__all__ = ["RayService", "Scale", "deploy_ray"]
