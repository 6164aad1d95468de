"""Loading, reloading and unloading in whatever order they come: nothing is left open."""

import asyncio

import pytest

from simam_deploy.serve.describe import index_document
from simam_deploy.serve.models import model
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.protocol.refusals import BadRequest, Busy, ModelFailed
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


def test_a_storm_of_loads_is_two(run, gate):
    """One is under way; the 300 that are asked for meanwhile share the next."""

    async def scenario(repository):
        gate.opening.clear()
        first = asyncio.ensure_future(repository.load("double"))
        await until(lambda: gate.knocks == 2)
        storm = [asyncio.ensure_future(repository.load("double")) for _ in range(300)]
        await asyncio.sleep(0)
        gate.opening.set()
        await asyncio.gather(first, *storm)
        assert repository.get("double").version == "3"

    run(scenario)
    assert len(gate.opened) == 3


def test_a_load_that_is_asked_for_during_another_is_begun_after_it(run, gate):
    """What is under way may have read the old file already: it does not answer for the new one."""

    async def scenario(repository):
        gate.opening.clear()
        first = asyncio.ensure_future(repository.load("double"))
        await until(lambda: gate.knocks == 2)
        second = asyncio.ensure_future(repository.load("double"))
        await asyncio.sleep(0)
        gate.opening.set()
        await first
        assert not second.done()
        await second
        assert gate.knocks == 3

    run(scenario)


def test_loads_one_after_the_other_are_as_many(run, gate):
    async def scenario(repository):
        for version in "234":
            await repository.load("double")
            assert repository.get("double").version == version

    run(scenario)


def test_a_load_after_an_unload_is_none_from_before_it(run, gate):
    """Under way, waiting, unloaded, and asked for again: loaded in the end."""

    async def scenario(repository):
        gate.opening.clear()
        asked = [asyncio.ensure_future(repository.load("double"))]
        await until(lambda: gate.knocks == 2)
        for ask in (repository.load, repository.unload, repository.load, repository.load):
            asked.append(asyncio.ensure_future(ask("double")))
            await asyncio.sleep(0)
        gate.opening.set()
        await asyncio.gather(*asked)
        assert repository.get("double").version == "4"

    run(scenario)


def test_what_waits_when_the_server_ends_is_not_loaded(run, gate):
    async def scenario(repository):
        gate.opening.clear()
        first = asyncio.ensure_future(repository.load("double"))
        await until(lambda: gate.knocks == 2)
        storm = [asyncio.ensure_future(repository.load("double")) for _ in range(3)]
        await asyncio.sleep(0)
        repository.draining = True
        gate.opening.set()
        await first
        for each in storm:
            with pytest.raises(Busy, match="the server is ending"):
                await each

    run(scenario)
    assert len(gate.opened) == 2


def test_a_load_that_fails_is_in_the_index_and_hurts_nobody(run, gate, tmp_path):
    async def scenario(repository):
        (tmp_path / "double.onnx").unlink()
        asked = [asyncio.ensure_future(repository.load("double")) for _ in range(3)]
        for each in asked:
            with pytest.raises(BadRequest, match=r"failed to load 'double': .*No such file"):
                await each
        (entry,) = index_document(repository)
        assert (entry["state"], entry["version"]) == ("READY", "1")
        assert "No such file" in entry["reason"]
        graphs.double(tmp_path)
        await repository.load("double")
        assert index_document(repository)[0]["reason"] == ""

    run(scenario)


def test_a_fault_of_ours_in_a_load_is_told_in_one_word_and_logged(run, gate, monkeypatch, caplog):
    def fail(*arguments):
        raise RuntimeError("at 0x7f00")

    async def scenario(repository):
        monkeypatch.setattr(model, "warm_up", fail)
        asked = [asyncio.ensure_future(repository.load("double")) for _ in range(5)]
        for each in asked:
            with pytest.raises(ModelFailed, match="failed to load 'double': internal error"):
                await each
        assert "0x7f" not in index_document(repository)[0]["reason"]

    run(scenario)
    assert caplog.text.count("Traceback") == 1


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
