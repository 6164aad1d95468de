"""A map of an input, laid back over the picture that the input was made of."""

import numpy as np
import pytest
from PIL import Image

from simam_deploy.source.samples.heatmap import Heatmap
from simam_deploy.source.samples.placement import (
    Covering,
    Letterboxed,
    Padded,
    Placement,
    Stretched,
)
from simam_deploy.source.samples.preparation import Preparation

ZERO, ONE = np.zeros(1, np.float32), np.ones(1, np.float32)
SIDES = 90, 140
FITTINGS = {
    "stretched": Stretched((64, 64)),
    "cropped": Covering((48, 48), 64 / 48),
    "centred": Letterboxed((64, 64), (64, 64), centred=True),
    "at the corner": Letterboxed((64, 96), (64, 96)),
    "padded": Padded((60, 100), 32),
    "enlarged": Stretched((180, 300)),
}


def sloping():
    """A picture that grows steadily to the right and down, each row and column its own value."""
    y, x = np.mgrid[: SIDES[0], : SIDES[1]]
    return (y + x).astype(np.uint8)


@pytest.mark.parametrize("name", FITTINGS)
def test_an_input_laid_back_is_its_picture(name):
    """Its cells are the input's pixels: what is laid back has each value where the picture has it,
    but for half a cell at its edges, and within the 0.5 that 8 bits round."""
    prepare = Preparation("L", False, FITTINGS[name], 1.0, ZERO, ONE, fill=0)
    (cells,) = prepare(Image.fromarray(sloping()))
    where = prepare.placement(SIDES)
    laid = Heatmap("input", cells, where, cells.shape).over_picture()
    assert laid.shape == SIDES
    assert laid.dtype == np.float32
    cell = max(n / m for n, m in zip(SIDES, where.scaled, strict=True))
    edge = int(np.ceil(cell)) + 1
    seen = np.full(SIDES, True)
    if name == "cropped":
        seen[:, : round(SIDES[1] / 2 - 48 / 64 * 45)] = False
        seen[:, round(SIDES[1] / 2 + 48 / 64 * 45) :] = False
        seen[: round(45 - 48 / 64 * 45)] = seen[round(45 + 48 / 64 * 45) :] = False
    assert (np.isnan(laid) != ~seen).mean() < 0.03
    inner = seen & ~np.isnan(laid)
    inner[:edge] = inner[-edge:] = inner[:, :edge] = inner[:, -edge:] = False
    assert inner.sum() > 1000
    assert np.abs(laid - sloping())[inner].max() < 0.5 + 1.5 * cell


def test_cells_are_between_their_neighbours():
    """Two cells over eight pixels: their middles are at 2 and at 6, and beyond them nothing is."""
    at = Placement((1, 8), (1, 8), (0, 0))
    laid = Heatmap("x", np.array([[0, 4]], np.float32), at, (1, 8)).over_picture()
    assert laid[0].tolist() == [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4]


def test_a_picture_shown_at_another_size():
    cells = np.arange(4, dtype=np.float32).reshape(2, 2)
    at = Placement((100, 50), (8, 4), (0, 2))
    shown = Heatmap("x", cells, at, (8, 8)).over_picture((20, 10))
    whole = Heatmap("x", cells, at, (8, 8)).over_picture()
    np.testing.assert_allclose(shown, whole.reshape(20, 5, 10, 5).mean((1, 3)), atol=0.05)
