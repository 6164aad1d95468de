"""Models whose pace the test sets, and a record of what was opened and closed."""

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.serve import model
from tests.serve.running import PATIENCE


@dataclass
class Gate:
    """While `opening` or `computing` is clear, that is where a runner waits; `seen` says so."""

    opening: threading.Event = field(default_factory=threading.Event)
    computing: threading.Event = field(default_factory=threading.Event)
    seen: list[str] = field(default_factory=list)
    opened: list[Any] = field(default_factory=list)
    closed: list[Any] = field(default_factory=list)

    def open_runners(self, path, settings):
        """Stand in for the model's own."""
        self.seen.append("opening")
        assert self.opening.wait(PATIENCE)
        runner = Gated(path, threads=1)
        runner.gate = self
        self.opened.append(runner)
        yield runner

    @property
    def left_open(self):
        return [runner for runner in self.opened if runner not in self.closed]


class Gated(OnnxRunner):
    gate: Gate

    def run(self, feeds):
        self.gate.seen.append("computing")
        assert self.gate.computing.wait(PATIENCE)
        return super().run(feeds)

    def close(self):
        self.gate.closed.append(self)
        super().close()


@pytest.fixture
def gate(monkeypatch):
    """An open gate that every model loaded meanwhile goes through."""
    gate = Gate()
    gate.opening.set()
    gate.computing.set()
    monkeypatch.setattr(model, "open_runners", gate.open_runners)
    return gate
