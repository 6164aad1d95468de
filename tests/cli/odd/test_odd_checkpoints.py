"""120 odd checkpoints: a network, or one clear line; never a traceback, nothing left behind."""

import pytest
import torch

from simam_deploy.cli.export import main
from simam_deploy.errors import InputError, SimamError, UsageError
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions
from tests.cli.odd.checkpoints import make
from tests.marks import slow_but

COUNT = 120


@pytest.fixture(scope="module")
def sound():
    torch.manual_seed(0)
    return create(NETWORKS["cifar_resnet20"]).state_dict()


@pytest.mark.parametrize("number", slow_but(range(0, COUNT, 3), range(COUNT)))
def test_read(number, sound, tmp_path):
    path = make(number, sound, tmp_path)
    try:
        subject = load_subject(path, NetworkOptions())
    except (InputError, UsageError) as error:
        assert str(error).isprintable()
        assert len(str(error)) < 1000
        assert path.name in str(error)
    else:
        assert subject.facts["arch"] == "cifar_resnet20"


def test_some_of_each_are_drawn(sound, tmp_path):
    """A generator whose files are all refused, or all read, would try one half of the reader."""
    read, some = 0, range(COUNT // 3)
    for number in some:
        try:
            load_subject(make(number, sound, tmp_path), NetworkOptions())
            read += 1
        except SimamError:
            pass
    assert len(some) // 10 < read < len(some) // 2


@pytest.mark.parametrize("number", slow_but(range(0, COUNT, 40), range(COUNT)))
def test_export(number, sound, tmp_path, capsys):
    path = make(number, sound, tmp_path)
    code = main([str(path), "-o", str(tmp_path / "out.onnx"), "--quiet"])
    said = capsys.readouterr().err
    assert code in (0, 1, 2, 3)
    assert len(said.splitlines()) == (code != 0) or "NOT PROVED" in said
    left = {each.name for each in tmp_path.iterdir()} - {path.name}
    assert left == {0: {"out.onnx", "out.json"}, 3: {"out.failed.json"}}.get(code, set())
