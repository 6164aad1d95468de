"""The bookkeeping of reshapes, against numpy on every small shape."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from simam_deploy.graph.recognise.layout import layout, reduced, spreads

ROOTS = list(product((1, 2, 3), (1, 2, 4), (1, 3), (1, 5)))


def merges(root: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Return what `root` may be reshaped to by merging neighbours and adding ones."""
    found = {root}
    for _ in range(2):
        for shape in list(found):
            for i in range(len(shape) - 1):
                found.add((*shape[:i], shape[i] * shape[i + 1], *shape[i + 2 :]))
    return found | {(1, *shape) for shape in found}


@pytest.mark.parametrize("root", ROOTS)
def test_reducing_a_merge_is_reducing_the_map(root: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=root)
    for shape in merges(root):
        for dim in range(len(shape)):
            axes = reduced(root, shape, [dim])
            assert axes is not None, shape
            ours = np.sort(x.sum(axis=tuple(axes), keepdims=True).ravel())
            theirs = np.sort(x.reshape(shape).sum(axis=dim, keepdims=True).ravel())
            np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("root", ROOTS)
def test_a_split_is_no_merge(root: tuple[int, ...]) -> None:
    n, c, h, w = root
    for shape in ((n, c, w, h), (c, n, h, w), (n, h, w, c), (n, 2, c, h * w), (n, c, h, w, 2)):
        groups = layout(root, shape)
        if groups is not None:
            sizes = [int(np.prod([root[axis] for axis in group])) for group in groups]
            assert tuple(sizes) == shape


def test_dimensions_of_one_go_where_they_stand() -> None:
    assert reduced((2, 1, 3, 5), (2, 1, 15), [2]) == {2, 3}
    assert reduced((1, 4, 3, 5), (1, 4, 15), [2]) == {2, 3}
    assert reduced((2, 4, 3, 1), (2, 4, 3), [2]) == {2, 3}
    assert reduced((2, 4, 1, 5), (1, 2, 4, 5), [3]) == {2, 3}


def test_fewer_elements_are_no_merge() -> None:
    assert layout((2, 3, 4, 5), (2, 3)) is None
    assert layout((2, 3, 4, 5), ()) is None
    assert layout((2, 3, 4, 5), (2, 3, 4, 5, 2)) is None


def test_a_plane_meets_its_own_pixels() -> None:
    root, axes = (2, 3, 4, 5), frozenset({2, 3})
    assert spreads(root, root, (2, 3, 1, 1), axes)
    assert spreads(root, root, (2, 3, 4, 5), axes), "expanded"
    assert spreads(root, (2, 3, 20), (2, 3, 1), axes)
    assert spreads(root, (6, 20), (6, 1), axes)
    assert not spreads(root, root, (2, 3), axes), "would meet H and W"
    assert not spreads(root, root, (2, 3, 1), axes)
    assert not spreads(root, root, (1, 3, 1, 1), axes)
    assert not spreads(root, (2, 60), (2, 1), axes), "C and H*W in one"
    assert not spreads((4, 5, 4, 5), (4, 5, 4, 5), (1, 1, 4, 5), axes)
