"""Open a model as it is to be run: one branch a way."""

from __future__ import annotations

from simam_deploy.bench.asked import COMPILE, ENGINE, Asked
from simam_deploy.core.files import named_in_text
from simam_deploy.errors import InputError
from simam_deploy.runtime.protocol import Runner


def open_runner(asked: Asked) -> Runner:
    """Open a model.

    Raises:
        InputError: It cannot be run so; the message says why.
        UsageError: An option does not fit it.
    """
    if asked.in_torch:
        return _in_torch(asked)
    if asked.how == ENGINE:
        from simam_deploy.engine.run.runner import TensorRTRunner

        return TensorRTRunner(asked.path, trust=asked.trust_engine)
    from simam_deploy.runtime.onnx_runner import PROVIDERS, OnnxRunner

    with named_in_text(asked.path) as path:
        return OnnxRunner(path, PROVIDERS[asked.how], threads=asked.threads)


def _in_torch(asked: Asked) -> Runner:
    import torch

    from simam_deploy.runtime.torch_runner import TorchRunner
    from simam_deploy.source import load_subject

    torch.set_num_threads(asked.threads)
    runner = load_subject(asked.path, asked.network).reference()
    if not isinstance(runner, TorchRunner):
        raise InputError(f"{asked.path.name} is not run by PyTorch")
    return runner.compiled() if asked.how == COMPILE else runner
