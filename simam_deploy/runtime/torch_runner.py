"""Runs an eval-mode nn.Module: the reference that exports are held against."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from simam_deploy.artifacts import TensorSpec
from simam_deploy.runtime.protocol import Arrays


class TorchRunner:
    """A module on the CPU in its weights' own dtype, which takes its inputs by position."""

    def __init__(
        self, model: nn.Module, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        self.name = f"PyTorch {torch.__version__}"
        self.inputs = inputs
        self.outputs = outputs
        self._model: nn.Module | None = model

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Compute every output, keyed by name."""
        assert self._model is not None, "the runner is closed"
        with torch.inference_mode():
            result = self._model(*(torch.from_numpy(feeds[spec.name]) for spec in self.inputs))
        tensors = result if isinstance(result, (tuple, list)) else (result,)
        names = (spec.name for spec in self.outputs)
        return {name: t.numpy() for name, t in zip(names, tensors, strict=True)}

    def __enter__(self) -> TorchRunner:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the module."""
        self._model = None
