"""SimAM as torch operators over the fused kernel of plugins/simam/kernel."""

from __future__ import annotations

from simam_deploy.op.torch.operators import simam, simam_epilogue

__all__ = ["simam", "simam_epilogue"]
