"""Loading, reloading and unloading in whatever order they come: nothing is left open."""

import asyncio

import pytest

from simam_deploy.serve.models import model
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.protocol.refusals import Busy
from simam_deploy.serve.settings import Settings
from tests.serve import graphs
from tests.serve.models.test_batcher import until


@pytest.fixture
def run(gate, tmp_path):
    """Run a scenario on a repository of one loaded model; afterwards nothing may be open."""

    def run(scenario):
        async def main():
            repository = Repository({"double": graphs.double(tmp_path)}, Settings())
            await repository.load_all()
            try:
                await scenario(repository)
            finally:
                gate.opening.set()
                await repository.close()

        asyncio.run(main())  # ends only when every thread that loads did
        assert gate.left_open == []

    return run


def test_two_reloads_at_once_come_one_after_the_other(run, gate):
    async def scenario(repository):
        await asyncio.gather(repository.load("double"), repository.load("double"))
        assert repository.get("double").version == "3"

    run(scenario)
    assert len(gate.opened) == 3


def test_an_unload_during_a_reload_has_the_last_word(run):
    async def scenario(repository):
        await asyncio.gather(repository.load("double"), repository.unload("double"))
        assert repository.models == {}

    run(scenario)


def test_a_reload_whose_asker_went_away_is_closed_with_the_rest(run, gate):
    async def scenario(repository):
        gate.opening.clear()
        loading = asyncio.ensure_future(repository.load("double"))
        await until(lambda: gate.knocks == 2)
        loading.cancel()
        await asyncio.wait([loading])
        closing = asyncio.ensure_future(repository.close())
        await asyncio.sleep(0)
        gate.opening.set()
        await closing
        assert repository.models == {}

    run(scenario)
    assert len(gate.opened) == 2


def test_nothing_is_loaded_after_the_end(run, gate):
    async def scenario(repository):
        await repository.close()
        with pytest.raises(Busy, match="the server is ending"):
            await repository.load("double")

    run(scenario)
    assert len(gate.opened) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_start_that_fails_as_nobody_foresaw_leaves_nothing_open(
    error, gate, monkeypatch, tmp_path
):
    def fail(*arguments):
        raise error("a fault of ours")

    monkeypatch.setattr(model, "warm_up", fail)
    with pytest.raises(error, match="a fault of ours"):
        model.load_model("double", graphs.double(tmp_path), "1", Settings())
    assert len(gate.opened) == 1
    assert gate.left_open == []
