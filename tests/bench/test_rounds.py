"""The order of turns, and how many there are."""

import itertools
from collections import Counter

import pytest

from simam_deploy.bench.rounds import Schedule, Start, _turned


@pytest.mark.parametrize("count", [2, 3, 4])
def test_nobody_always_follows_the_same_other_or_has_one_place(count):
    rounds = [_turned(range(count), number) for number in range(2 * count)]
    for place in range(count):
        assert Counter(order[place] for order in rounds) == dict.fromkeys(range(count), 2)
    follows = Counter(pair for order in rounds for pair in itertools.pairwise(order))
    for one, other in follows:
        assert follows[one, other] == follows[other, one]


def test_rounds_are_shared_among_starts_one_in_each_at_least():
    assert len(list(Schedule(starts=7, rounds=70).turns())) == 10
    assert len(list(Schedule(starts=7, rounds=71).turns())) == 11
    assert len(list(Schedule(starts=7, rounds=1).turns())) == 1
    assert next(Schedule(seconds=1e-9).turns()) == 0


def test_a_turn_counts_by_its_median():
    start = Start(warm_runs=10, stable=True)
    start.add([1.0, 2.0, 90.0], [1.0, 1.5, 80.0])
    assert (start.wall_rounds, start.processor_rounds) == ([2.0], [1.5])
    assert start.wall == [1.0, 2.0, 90.0]
