"""Work on pictures: side by side, within its memory, and no longer wanted."""

import asyncio
import os
import threading

import pytest

from simam_deploy.serve.models import decoders
from simam_deploy.serve.models.decoders import MEMORY, Decoders
from tests.serve.running import PATIENCE


class Work:
    """Waits in its thread until the test lets it go."""

    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, answer):
        self.begun.set()
        assert self.go.wait(PATIENCE)
        return answer


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)


async def turns(count=20):
    """Let the loop go round, as often as nothing more would happen in."""
    for _ in range(count):
        await asyncio.sleep(0.005)


def played(play):
    async def whole():
        threads = Decoders()
        try:
            return await play(threads)
        finally:
            await threads.close()

    return asyncio.run(whole())


def test_small_ones_are_worked_on_side_by_side():
    async def play(threads):
        works = [Work() for _ in range(5)]
        tasks = [asyncio.create_task(threads.run(1, work, i)) for i, work in enumerate(works)]
        await asyncio.to_thread(lambda: [work.begun.wait(PATIENCE) for work in works[:4]])
        await turns()
        begun = [work.begun.is_set() for work in works]
        for work in works:
            work.go.set()
        return begun, await asyncio.gather(*tasks)

    begun, answers = played(play)
    assert begun == [True] * decoders.MOST + [False]
    assert answers == [0, 1, 2, 3, 4]


def test_large_ones_take_turns_in_their_order():
    """The third would fit beside the first, but the second was there before it."""

    async def play(threads):
        works = [Work() for _ in range(3)]
        weights = MEMORY - 10, 20, 5
        tasks = [
            asyncio.create_task(threads.run(weight, work, 0))
            for weight, work in zip(weights, works, strict=True)
        ]
        await asyncio.to_thread(works[0].begun.wait, PATIENCE)
        await turns()
        before = [work.begun.is_set() for work in works]
        works[0].go.set()
        await asyncio.to_thread(lambda: [work.begun.wait(PATIENCE) for work in works[1:]])
        for work in works:
            work.go.set()
        await asyncio.gather(*tasks)
        return before

    assert played(play) == [True, False, False]


def test_one_beyond_all_memory_is_worked_on_alone():
    async def play(threads):
        large, small = Work(), Work()
        tasks = [asyncio.create_task(threads.run(2 * MEMORY, large, "large"))]
        await turns(1)
        tasks.append(asyncio.create_task(threads.run(1, small, "small")))
        await asyncio.to_thread(large.begun.wait, PATIENCE)
        await turns()
        before = small.begun.is_set()
        large.go.set()
        small.go.set()
        return before, await asyncio.gather(*tasks)

    assert played(play) == (False, ["large", "small"])


def test_who_goes_away_while_he_waits_makes_room_and_who_is_worked_on_does_not():
    async def play(threads):
        works = [Work() for _ in range(3)]
        tasks = [asyncio.create_task(threads.run(MEMORY, work, 0)) for work in works]
        await asyncio.to_thread(works[0].begun.wait, PATIENCE)
        tasks[0].cancel()
        tasks[1].cancel()
        await turns()
        before = [work.begun.is_set() for work in works]
        works[0].go.set()
        await asyncio.to_thread(works[2].begun.wait, PATIENCE)
        works[2].go.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        return before, [type(answer).__name__ for answer in answers], works[1].begun.is_set()

    before, answers, second = played(play)
    assert before == [True, False, False]
    assert answers == ["CancelledError", "CancelledError", "int"]
    assert not second


def test_an_error_is_the_askers_and_leaves_room():
    async def play(threads):
        with pytest.raises(ZeroDivisionError):
            await threads.run(MEMORY, divmod, 1, 0)
        return await threads.run(MEMORY, divmod, 7, 2)

    assert played(play) == (3, 1)
