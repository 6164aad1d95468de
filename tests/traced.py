"""What torch makes of a small network, kept: tracing is 3 s of the 5 that its export takes.

A network is traced in earnest the first time in a process; one that is the same in all that tracing
can see, and is asked for alike, is then given a copy of that graph. `test_traced.py` holds copies
against traces, and that a change of any kind is traced anew.
"""

import copy
import functools
import hashlib
import importlib
from collections.abc import Hashable

import onnx_ir as ir
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from simam_deploy.graph.passes.opset import NATIVE
from tests.nets import networks

HOMES = ("simam_deploy.source.zoo", "simam_deploy.source.module", "simam_deploy.source.detector")
"""Whoever has a network traced."""
_CODE = ("simam_deploy.", "torch.nn.")
"""Packages whose code is what it is for the whole run; of a user's file nobody knows."""
_PARTS = ("_parameters", "_buffers", "_modules", "_network", "_non_persistent_buffers_set")
_MOST = 1 << 24
"""Bytes of weights: larger networks are traced by few tests, and would be held in memory."""
_PLAIN = (bool, int, float, str, type(None))

found: dict[Hashable, ir.Model] = {}


def keep(trace):
    """Let a `trace` of `simam_deploy.source.trace` look first whether it was asked before."""

    def kept(model, inputs, output_names, sizes, opset):
        network = fingerprint(model)
        if network is None:
            return trace(model, inputs, output_names, sizes, opset)
        asked = network, inputs, output_names, tuple(sizes.items()), max(opset, NATIVE)
        if asked not in found:
            graph = trace(model, inputs, output_names, sizes, opset)
            found[asked] = ir.from_proto(ir.to_proto(graph))  # with weights of its own
            return graph
        return found[asked].clone()

    return kept


def keep_traces(monkeypatch):
    for home in HOMES:
        module = importlib.import_module(home)
        monkeypatch.setattr(module, "trace", keep(module.trace))


def keep_table(monkeypatch):
    """Have torch read its table of 500 operators once a version; every trace gets a copy of it."""
    read = functools.cache(ONNXRegistry.from_torchlib)

    def from_table(opset_version):
        table = copy.copy(read(opset_version=opset_version))
        table.functions = {target: [*forms] for target, forms in table.functions.items()}
        return table

    monkeypatch.setattr(ONNXRegistry, "from_torchlib", staticmethod(from_table))


def fingerprint(model) -> Hashable | None:
    """Tell a network by its code, attributes and weights; None where these say too little."""
    parts = [("", model), *model._network[0].named_modules()]
    told = [(name, _told(module)) for name, module in parts]
    weights = [*model.named_parameters(), *model.named_buffers()]
    if any(each is None for _, each in told) or sum(t.nbytes for _, t in weights) > _MOST:
        return None
    content = hashlib.sha256()
    for name, tensor in weights:
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return tuple(told), content.digest()


def _told(module: nn.Module) -> Hashable | None:
    kind = type(module)
    fixed = kind.__module__.startswith(_CODE) or kind.forward.__code__.co_filename == (
        networks.__file__
    )
    attributes = [(k, _plain(v)) for k, v in vars(module).items() if k not in _PARTS]
    if not fixed or any(value is ... for _, value in attributes):
        return None
    return kind.__qualname__, kind.forward.__code__, tuple(sorted(attributes, key=str))


def _plain(value: object) -> Hashable:
    """Give a value by which attributes can be told apart; an Ellipsis for what is none."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, tuple | list):
        items = tuple(_plain(item) for item in value)
        return ... if ... in items else items
    return () if isinstance(value, dict | set) and not value else ...
