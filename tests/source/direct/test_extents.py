"""What windows leave of a size, held against torch's own modules."""

import itertools

import pytest
import torch
from torch import nn

from simam_deploy.source.direct.extents import Unknown, Window, size_at

WINDOWS = [
    Window(kernel, stride, padding, dilation, ceil)
    for kernel, stride, padding, dilation, ceil in itertools.product(
        (1, 2, 3, 5, 7), (1, 2, 3), (0, 1, 2, 3), (1, 2), (False, True)
    )
    if padding <= kernel // 2  # torch refuses a pooling of more
]


def torchs(window, size):
    """Count as torch does; None where it refuses."""
    pool = nn.MaxPool1d(
        window.kernel, window.stride, window.padding, window.dilation, ceil_mode=window.ceil
    )
    try:
        return pool(torch.empty(1, 1, size, device="meta")).shape[-1]
    except RuntimeError:
        return None


def ours(window, size):
    try:
        return window.over(size)
    except Unknown:
        return None


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 32, 33])
def test_a_known_size_is_counted_as_torch_does(size):
    """A window that is wider than the map, which torch takes where it rounds up, is not known."""
    found = {window: (ours(window, size), torchs(window, size)) for window in WINDOWS}
    wrong = {window: pair for window, pair in found.items() if pair[0] != pair[1]}
    wider = {w for w in wrong if w.dilation * (w.kernel - 1) + 1 > size + 2 * w.padding}
    assert {window: pair for window, pair in wrong.items() if window not in wider} == {}
    assert all(wrong[window][0] is None for window in wider)


def test_a_free_size_is_a_formula_that_holds_for_every_size():
    known = 0
    for first, second in itertools.product(WINDOWS, repeat=2):
        try:
            formula = second.over(first.over("width"))
        except Unknown:
            continue
        known += 1
        for width in (3, 4, 5, 6, 7, 8, 9, 33):
            counted = torchs(second, torchs(first, width))
            assert size_at(formula, {"width": width}) == counted, (first, second, formula)
    assert known >= 36


def test_two_ways_to_one_size_have_one_name():
    """A shortcut of 1 by 1 beside a convolution of 3 by 3, and a pooling that rounds up."""
    halved = [Window(3, 2, 1), Window(1, 2, 0), Window(2, 2, 0, ceil=True), Window(7, 2, 3)]
    assert {window.over("h") for window in halved} == {"(h - 1)//2 + 1"}
    assert halved[0].over(halved[1].over("h")) == "(h - 1)//4 + 1"
