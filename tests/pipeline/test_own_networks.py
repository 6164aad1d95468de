"""Networks of somebody's own export, and their files pass against source and self, at any size."""

import itertools

import pytest
from own_networks import NETWORKS, SIZES, measure, passed

from tests.nets.weights import KINDS

QUICK = [(network, "drawn", 224 if network == "Segmenter" else 64) for network in NETWORKS]
RUNS = [
    pytest.param(*run, marks=() if run in QUICK else pytest.mark.slow)
    for run in itertools.product(NETWORKS, KINDS, SIZES)
]


@pytest.mark.parametrize(("network", "kind", "size"), RUNS)
def test_it_exports_and_its_file_passes(network, kind, size, own):
    row = measure(own, network, kind, size, SIZES[size])
    assert passed(row), "; ".join(str(row.get(word)) for word in ("export", "source", "itself"))
