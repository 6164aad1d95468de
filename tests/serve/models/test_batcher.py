"""The batcher alone, on a runner whose pace the test sets."""

import asyncio
import threading
import time

import numpy as np
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.runtime.protocol import Closing
from simam_deploy.serve.models.batcher import Batcher
from simam_deploy.serve.models.lines import Limits
from simam_deploy.serve.models.statistics import Statistics
from simam_deploy.serve.protocol.refusals import BadRequest, Busy, ModelFailed, TimedOut
from tests.serve.running import PATIENCE

FOREVER = 10 * int(PATIENCE) * 1_000_000
"""Microseconds: who waits that long for others fails the test."""


class Doubler(Closing):
    """Doubles, notes every batch, raises at -1, and waits at each batch while `gate` is closed."""

    name = "doubler"
    inputs = outputs = (TensorSpec("x", "float32", ("batch", "n")),)

    def __init__(self, opened=True):
        self.batches = []
        self.gate = threading.Event()
        self.closed = False
        if opened:
            self.gate.set()

    def run(self, feeds):
        self.batches.append(feeds["x"].shape)
        assert self.gate.wait(PATIENCE)
        if (feeds["x"] == -1).any():
            raise RuntimeError("minus one\nis not served")
        return {"x": 2 * feeds["x"]}

    def close(self):
        self.closed = True


def rows(count, value=1.0, width=2):
    return {"x": np.full((count, width), value, np.float32)}


def batcher_of(
    *runners, max_batch=8, max_delay_us=0, max_queue=64, timeout=PATIENCE, statistics=None
):
    limits = Limits(max_batch, max_delay_us, max_queue, timeout)
    return Batcher(runners, limits, statistics or Statistics(), "doubler")


def run(scenario):
    """Run a scenario, which gets a dictionary to leave its batcher in, and close that."""
    made = []

    async def main():
        try:
            return await scenario(made.append)
        finally:
            for batcher in made:
                await asyncio.to_thread(batcher.close)

    return asyncio.run(main())


async def until(met):
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def test_what_comes_while_a_batch_is_computed_goes_together():
    async def scenario(keep):
        runner = Doubler(opened=False)
        keep(batcher := batcher_of(runner))
        first = asyncio.ensure_future(batcher.run(rows(1, 0)))
        await until(lambda: runner.batches)
        rest = [asyncio.ensure_future(batcher.run(rows(1, i))) for i in range(1, 6)]
        await until(lambda: batcher.queued == 5)
        runner.gate.set()
        results = await asyncio.gather(first, *rest)
        assert runner.batches == [(1, 2), (5, 2)]
        assert [r["x"][0, 0] for r in results] == [0, 2, 4, 6, 8, 10]

    run(scenario)


def test_a_batch_never_has_more_rows_than_it_may():
    async def scenario(keep):
        runner = Doubler(opened=False)
        keep(batcher := batcher_of(runner, max_batch=8))
        first = asyncio.ensure_future(batcher.run(rows(1)))
        await until(lambda: runner.batches)
        sizes = [3, 4, 2, 8, 1]
        rest = [asyncio.ensure_future(batcher.run(rows(n, value=n))) for n in sizes]
        await until(lambda: batcher.queued == 5)
        runner.gate.set()
        await first
        for size, result in zip(sizes, await asyncio.gather(*rest), strict=True):
            assert np.array_equal(result["x"], np.full((size, 2), 2 * size))
        assert [shape[0] for shape in runner.batches] == [1, 7, 2, 8, 1]

    run(scenario)


def test_the_first_waits_for_others_as_long_as_it_may():
    async def scenario(keep):
        runner = Doubler()
        keep(batcher := batcher_of(runner, max_delay_us=200_000))
        started = time.perf_counter()
        await batcher.run(rows(1))
        assert time.perf_counter() - started >= 0.2
        assert runner.batches == [(1, 2)]

    run(scenario)


def test_a_full_batch_wakes_the_thread_that_waits_for_it():
    """Each request comes when the thread sleeps again, so nothing else can have woken it."""

    async def scenario(keep):
        runner = Doubler()
        keep(batcher := batcher_of(runner, max_batch=3, max_delay_us=FOREVER))
        jobs = []
        for _ in range(3):
            await until(lambda: batcher._lines._changed._waiters)
            jobs.append(asyncio.ensure_future(batcher.run(rows(1))))
            await until(lambda: runner.batches or batcher.queued == len(jobs))
        await asyncio.gather(*jobs)
        assert runner.batches == [(3, 2)]

    run(scenario)


def test_a_request_that_fails_fails_alone():
    async def scenario(keep):
        runner = Doubler(opened=False)
        keep(batcher := batcher_of(runner))
        first = asyncio.ensure_future(batcher.run(rows(1)))
        await until(lambda: runner.batches)
        values = [1, -1, 3]
        rest = [asyncio.ensure_future(batcher.run(rows(1, v))) for v in values]
        await until(lambda: batcher.queued == 3)
        runner.gate.set()
        results = await asyncio.gather(first, *rest, return_exceptions=True)
        assert results[1]["x"][0, 0] == 2
        assert results[3]["x"][0, 0] == 6
        assert isinstance(results[2], ModelFailed)
        assert str(results[2]) == "the model failed: minus one is not served"

    run(scenario)


def test_an_output_without_the_rows_that_went_in_is_a_failure():
    class Mean(Doubler):
        def run(self, feeds):
            return {"x": feeds["x"].mean(0, keepdims=True)}

    async def scenario(keep):
        keep(batcher := batcher_of(Mean()))
        with pytest.raises(ModelFailed, match="output x has shape"):
            await batcher.run(rows(3))

    run(scenario)


def test_lines_of_other_shapes_do_not_wait_for_a_batch_to_fill():
    """One wide request waits for others as good as forever; narrow ones, eight, do not."""

    async def scenario(keep):
        runner = Doubler()
        keep(batcher := batcher_of(runner, max_delay_us=FOREVER))
        wide = asyncio.ensure_future(batcher.run(rows(1, width=3)))
        await asyncio.sleep(0.01)
        await asyncio.gather(*(batcher.run(rows(1)) for _ in range(8)))
        assert runner.batches == [(8, 2)]
        assert not wide.done()
        wide.cancel()

    run(scenario)


def test_the_line_that_waited_longest_is_next():
    async def scenario(keep):
        runner = Doubler(opened=False)
        keep(batcher := batcher_of(runner))
        jobs = [asyncio.ensure_future(batcher.run(rows(1)))]
        await until(lambda: runner.batches)
        for width in (3, 2, 3, 2):
            jobs.append(asyncio.ensure_future(batcher.run(rows(1, width=width))))
            await asyncio.sleep(0)
        await until(lambda: batcher.queued == 4)
        runner.gate.set()
        await asyncio.gather(*jobs)
        assert runner.batches == [(1, 2), (2, 3), (2, 2)]

    run(scenario)


def test_a_second_copy_works_beside_a_busy_one():
    async def scenario(keep):
        busy, free = Doubler(opened=False), Doubler()
        keep(batcher := batcher_of(busy, free))
        jobs = [asyncio.ensure_future(batcher.run(rows(1)))]
        while not busy.batches:
            jobs.append(asyncio.ensure_future(batcher.run(rows(1))))
            await asyncio.sleep(0.001)
        await asyncio.gather(*(batcher.run(rows(1)) for _ in range(20)))
        busy.gate.set()
        await asyncio.gather(*jobs)

    run(scenario)


def test_a_full_queue_refuses_and_what_was_accepted_is_computed():
    async def scenario(keep):
        runner = Doubler(opened=False)
        statistics = Statistics()
        keep(batcher := batcher_of(runner, max_queue=2, statistics=statistics))
        jobs = [asyncio.ensure_future(batcher.run(rows(1)))]
        await until(lambda: runner.batches)
        jobs += [asyncio.ensure_future(batcher.run(rows(1))) for _ in range(2)]
        await until(lambda: batcher.queued == 2)
        with pytest.raises(Busy, match="queue of 2 requests is full"):
            await batcher.run(rows(1))
        runner.gate.set()
        assert len(await asyncio.gather(*jobs)) == 3
        assert (statistics.refused, statistics.success.count) == (1, 3)

    run(scenario)


@pytest.mark.parametrize("computing", [True, False])
def test_a_request_times_out_whether_it_waits_or_is_computed(computing):
    async def scenario(keep):
        runner = Doubler(opened=False)
        keep(batcher := batcher_of(runner))
        blocking = asyncio.ensure_future(batcher.run(rows(1)))
        await until(lambda: runner.batches)
        late = blocking
        if not computing:
            late = asyncio.ensure_future(batcher.run(rows(1), timeout=0.05))
        else:
            runner.gate.set()
            await blocking
            runner.gate.clear()
            late = asyncio.ensure_future(batcher.run(rows(1), timeout=0.05))
        with pytest.raises(TimedOut, match=r"within 0\.05 s"):
            await late
        assert batcher.queued == 0
        runner.gate.set()
        assert (await batcher.run(rows(1)))["x"].shape == (1, 2)

    run(scenario)


def test_a_cancelled_request_leaves_the_queue_and_is_never_computed():
    async def scenario(keep):
        runner = Doubler(opened=False)
        keep(batcher := batcher_of(runner))
        first = asyncio.ensure_future(batcher.run(rows(1)))
        await until(lambda: runner.batches)
        gone = asyncio.ensure_future(batcher.run(rows(2)))
        stays = asyncio.ensure_future(batcher.run(rows(3)))
        await until(lambda: batcher.queued == 2)
        gone.cancel()
        await until(lambda: batcher.queued == 1)
        runner.gate.set()
        await asyncio.gather(first, stays)
        assert [shape[0] for shape in runner.batches] == [1, 3]

    run(scenario)


def test_inputs_of_different_rows_and_too_many_are_refused():
    async def scenario(keep):
        keep(batcher := batcher_of(Doubler(), max_batch=4))
        with pytest.raises(BadRequest, match="first dimensions differ"):
            await batcher.run({"a": np.zeros((1, 2)), "b": np.zeros((2, 2))})
        with pytest.raises(BadRequest, match="must be <= 4, got 5"):
            await batcher.run(rows(5))

    run(scenario)


def test_closing_computes_what_was_accepted():
    async def scenario(keep):
        runner = Doubler(opened=False)
        batcher = batcher_of(runner, max_delay_us=FOREVER)
        jobs = [asyncio.ensure_future(batcher.run(rows(1))) for _ in range(3)]
        await until(lambda: batcher.queued == 3)
        closing = asyncio.ensure_future(asyncio.to_thread(batcher.close))
        await until(lambda: runner.batches)
        runner.gate.set()
        assert len(await asyncio.gather(*jobs)) == 3
        await closing
        assert runner.closed

    run(scenario)


def test_a_view_at_an_odd_address_is_given_to_the_runtime_aligned():
    view = np.frombuffer(bytes(9), np.float32, 2, offset=1).reshape(1, 2)
    assert not view.flags.aligned
    given = []

    class Noting(Doubler):
        def run(self, feeds):
            given.append(feeds["x"].flags.aligned)
            return super().run(feeds)

    async def scenario(keep):
        keep(batcher := batcher_of(Noting()))
        await batcher.run({"x": view})
        await asyncio.gather(*(batcher.run({"x": view}) for _ in range(4)))

    run(scenario)
    assert given
    assert all(given)


def test_statistics_add_up():
    async def scenario(keep):
        statistics = Statistics()
        keep(batcher := batcher_of(Doubler(), statistics=statistics))
        for count in (1, 3, 3):
            await batcher.run(rows(count))
        with pytest.raises(ModelFailed):
            await batcher.run(rows(1, -1))
        assert (statistics.inferences, statistics.executions) == (7, 3)
        assert (statistics.success.count, statistics.fail.count) == (3, 1)
        assert {size: d.count for size, d in statistics.batches.items()} == {1: 1, 3: 2}
        whole = statistics.success.ns
        parts = (
            statistics.queue.ns + statistics.compute_input.ns
            + statistics.compute_infer.ns + statistics.compute_output.ns
        )  # fmt: skip
        assert 0 < parts <= whole

    run(scenario)


def test_a_closed_batcher_takes_no_request():
    """Its threads have ended: a request in its queue would wait for its time-out."""

    async def scenario(keep):
        batcher = batcher_of(Doubler())
        await asyncio.to_thread(batcher.close)
        with pytest.raises(Busy, match="unloaded"):
            await batcher.run(rows(1))
        assert batcher.queued == 0

    run(scenario)


def test_a_cancelled_request_counts_once_whether_it_waited_or_was_computed():
    async def scenario(keep):
        runner, statistics = Doubler(opened=False), Statistics()
        keep(batcher := batcher_of(runner, statistics=statistics))
        computed = asyncio.ensure_future(batcher.run(rows(1)))
        await until(lambda: runner.batches)
        waiting = asyncio.ensure_future(batcher.run(rows(2)))
        await until(lambda: batcher.queued)
        for job in (computed, waiting):
            job.cancel()
        await asyncio.wait([computed, waiting])
        runner.gate.set()
        await batcher.run(rows(3))
        assert (statistics.success.count, statistics.fail.count) == (1, 2)
        assert (statistics.inferences, statistics.executions) == (4, 2)

    run(scenario)


def test_a_result_that_comes_as_its_asker_goes_is_no_success():
    """Cancelled between the result and the turn of who waits for it: nobody gets it."""

    class Going(Statistics):
        def count_batch(self, *arguments):
            """Have the asker go before the result, which comes next, wakes it."""
            asyncio.get_running_loop().call_soon(jobs[0].cancel)
            super().count_batch(*arguments)

    jobs = []

    async def scenario(keep):
        statistics = Going()
        keep(batcher := batcher_of(Doubler(), statistics=statistics))
        jobs.append(asyncio.ensure_future(batcher.run(rows(1))))
        with pytest.raises(asyncio.CancelledError):
            await jobs[0]
        assert (statistics.success.count, statistics.fail.count) == (0, 1)

    run(scenario)
