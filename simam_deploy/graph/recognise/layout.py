"""How the dimensions of a reshaped feature map relate to those of the map itself.

ONNX keeps elements in row-major order when it reshapes, so merging neighbouring dimensions moves
nothing: (N, C, H, W) and (N, C, H*W) hold the same planes.
"""

from __future__ import annotations

from collections.abc import Iterable

Shape = tuple[int, ...]


def layout(root: Shape, shape: Shape) -> tuple[frozenset[int], ...] | None:
    """Return for each dimension of `shape` the dimensions of `root` that are merged in it.

    Returns:
        As many sets as `shape` has dimensions, or None if it is no merge of neighbours.
    """
    if shape == root:
        return tuple(frozenset({axis}) for axis in range(len(root)))
    groups: list[set[int]] = []
    axis = 0
    for size in shape:
        group: set[int] = set()
        merged = 1
        while axis < len(root) and (merged < size or (root[axis] == size == 1 and not group)):
            group.add(axis)
            merged *= root[axis]
            axis += 1
        if merged != size:
            return None
        groups.append(group)
    rest = range(axis, len(root))
    if not groups or any(root[axis] != 1 for axis in rest):
        return None
    groups[-1].update(rest)
    return tuple(frozenset(group) for group in groups)


def reduced(root: Shape, shape: Shape, dims: Iterable[int]) -> frozenset[int] | None:
    """Return the dimensions of `root` that reducing `dims` of `shape` reduces."""
    groups = layout(root, shape)
    if groups is None:
        return None
    return frozenset[int]().union(*(groups[dim] for dim in dims))


def spreads(root: Shape, shape: Shape, plane: Shape, axes: frozenset[int]) -> bool:
    """Tell whether `plane`, reduced over `axes`, meets each element of `shape` with its own plane.

    Args:
        root: The shape of the feature map.
        shape: That of the map as it is used, a merge of `root`.
        plane: That of the reduction, perhaps expanded again.
        axes: Dimensions of `root`.
    """
    groups = layout(root, shape)
    if groups is None or len(plane) != len(shape):
        return False
    for group, size, kept in zip(groups, shape, plane, strict=True):
        if group and group <= axes:
            if kept not in (1, size):
                return False
        elif group & axes or kept != size:
            return False
    return True
