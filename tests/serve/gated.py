"""Models whose pace the test sets, and a record of what was opened."""

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.serve.models import model
from tests.serve.running import PATIENCE


class Gated(OnnxRunner):
    """Waits in each run while `computing` is clear; `runs` counts those begun."""

    def __init__(self, path):
        super().__init__(path, threads=1)
        self.file = Path(path)
        self.computing = threading.Event()
        self.computing.set()
        self.runs = 0

    def run(self, feeds):
        self.runs += 1
        assert self.computing.wait(PATIENCE)
        return super().run(feeds)


@dataclass
class Gate:
    """The runners in the order of their opening, which waits while `opening` is clear."""

    opening: threading.Event = field(default_factory=threading.Event)
    knocks: int = 0
    opened: list[Gated] = field(default_factory=list)

    def open_runners(self, path, settings, read):
        """Stand in for the model's own."""
        self.knocks += 1
        assert self.opening.wait(PATIENCE)
        self.opened.append(Gated(path))
        yield self.opened[-1]

    @property
    def left_open(self):
        return [runner for runner in self.opened if hasattr(runner, "_session")]


@contextlib.contextmanager
def held(runner):
    """Hold a runner's computing up; yields what tells whether a run has begun since."""
    before = runner.runs
    runner.computing.clear()
    try:
        yield lambda: runner.runs > before
    finally:
        runner.computing.set()


@pytest.fixture
def gate(monkeypatch):
    """An open gate that every model loaded meanwhile goes through."""
    gate = Gate()
    gate.opening.set()
    monkeypatch.setattr(model, "open_runners", gate.open_runners)
    return gate
