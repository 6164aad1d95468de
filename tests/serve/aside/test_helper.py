"""The process beside the server: what it does, what it does not survive, and that it goes."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from simam_deploy.serve.aside.child import MEMORY
from simam_deploy.serve.aside.helper import Helper
from simam_deploy.serve.protocol.deadline import Deadline
from simam_deploy.serve.protocol.refusals import BadRequest, Refusal, TimedOut, TooLarge


def reverse(content, told):
    return [bytes(content)[::-1], str(told["n"]).encode(), str(os.getpid()).encode()]


def refuse(content, told):
    raise BadRequest("it is wrong")


def stumble(content, told):
    raise KeyError("a bug")


def hang(content, told):
    signal.pause()


def die(content, told):
    os.kill(os.getpid(), signal.SIGKILL)


def eat(content, told):
    return [bytes(2 * MEMORY)]


def path(content, told):
    return ["\n".join(sys.path).encode()]


def played(play):
    async def whole():
        helper = Helper()
        try:
            return await play(helper)
        finally:
            await helper.close()

    return asyncio.run(whole())


def test_it_works_in_a_process_of_its_own_which_stays():
    big = bytes(range(256)) * 40_000

    async def play(helper):
        return [await helper.run(reverse, content, {"n": 5}) for content in (b"abc", b"", big)]

    answers = played(play)
    assert [bytes(answer[0]) for answer in answers] == [b"cba", b"", big[::-1]]
    (process,) = {int(bytes(answer[2])) for answer in answers}
    assert process != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_refusal_is_the_askers():
    async def play(helper):
        with pytest.raises(BadRequest, match="it is wrong"):
            await helper.run(refuse, b"", {})
        return await helper.run(reverse, b"ab", {"n": 1})

    assert played(play)[0] == b"ba"


def test_a_fault_is_told_in_one_word(capfd):
    async def play(helper):
        with pytest.raises(Refusal, match="internal error") as raised:
            await helper.run(stumble, b"", {})
        assert raised.value.status == 500

    played(play)
    assert "KeyError: 'a bug'" in capfd.readouterr().err


@pytest.mark.parametrize("work", [die, eat])
def test_what_it_does_not_survive_is_refused_and_the_next_is_answered(work):
    async def play(helper):
        with pytest.raises(TooLarge, match="send tensors binary"):
            await helper.run(work, b"", {})
        return await helper.run(reverse, b"ab", {"n": 1})

    assert played(play)[0] == b"ba"


def test_what_takes_too_long_is_ended_and_who_waits_is_answered():
    async def play(helper):
        stuck = asyncio.create_task(Deadline(0.5).within(helper.run(hang, b"", {})))
        await asyncio.sleep(0.1)
        behind = asyncio.create_task(helper.run(reverse, b"ab", {"n": 1}))
        with pytest.raises(TimedOut, match=r"no result within 0\.5 s"):
            await stuck
        return await behind

    assert played(play)[0] == b"ba"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_does_not_end_it(number):
    """As a terminal and a service manager send it: the server has requests to answer yet."""

    async def play(helper):
        before = await helper.run(reverse, b"ab", {"n": 1})
        os.kill(int(before[2]), number)
        return before, await helper.run(reverse, b"ab", {"n": 1})

    before, after = played(play)
    assert before == after


def test_one_that_was_killed_meanwhile_is_replaced():
    async def play(helper):
        before = await helper.run(reverse, b"ab", {"n": 1})
        os.kill(int(before[2]), signal.SIGKILL)
        while helper._process.poll() is None:
            await asyncio.sleep(0.01)
        return await helper.run(reverse, b"ab", {"n": 1})

    assert played(play)[0] == b"ba"


def test_nothing_is_left_open():
    async def play(helper):
        for work in (reverse, die, reverse):
            with contextlib.suppress(TooLarge):
                await helper.run(work, b"", {"n": 1})

    played(play)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        played(play)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_modules_are_not_looked_for_in_the_work_folder(tmp_path, monkeypatch):
    """A file of that name in it would be run."""
    (tmp_path / "numpy.py").write_text("raise SystemExit('run')")
    (tmp_path / "socket.py").write_text("raise SystemExit('run')")
    monkeypatch.setattr(sys, "path", [str(Path(entry).resolve()) for entry in sys.path])
    monkeypatch.chdir(tmp_path)
    found = bytes(played(lambda helper: helper.run(path, b"", {}))[0]).decode().splitlines()
    assert found == sys.path
