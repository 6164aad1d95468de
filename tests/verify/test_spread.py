"""What rounding makes of a slice: of an even picture, of the noisiest place in it."""

import numpy as np
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.verify.cases import Drawn
from simam_deploy.verify.layout import Layout
from simam_deploy.verify.spread import changes, measure_spread

SHAPE = (1, 32, 24, 40)
SPECS = (TensorSpec("x", "float32", SHAPE),)
QUIET = 0.05
EDGE = 3
"""Lines of each side whose noise is 1, where it is `QUIET` between them."""


def noisy(seed, rows=None):
    """Maps of noise that lies at the upper and lower edge, alike along them."""
    draw = np.random.default_rng(seed).standard_normal
    shape = SHAPE if rows is None else (rows, *SHAPE[1:])
    maps = QUIET * draw(shape)
    for edge in (slice(None, EDGE), slice(-EDGE, None)):
        maps[:, :, edge, :] = draw((*shape[:2], EDGE, 1))
    maps[..., :2] += draw((*shape[:3], 2))  # and more at the left end of every line
    return maps.astype(np.float32)


class Drawing:
    """Gives other noise each time."""

    inputs = outputs = SPECS
    name = "drawing"

    def __init__(self, first):
        self._seed = first

    def run(self, feeds):
        self._seed += 1
        return {"y": noisy(self._seed, len(feeds["x"]))}


def noise(*kinds):
    case = Drawn(kinds, ((len(kinds), *SHAPE[1:]),))
    zero = np.zeros((len(kinds), *SHAPE[1:]), np.float32)
    spread = measure_spread({case: {"y": zero}}, (Drawing(0), Drawing(100)), Layout())
    return spread.noise(case.name, "y", changes(zero, zero, len(kinds)))


def most(off, noise_of_it):
    """Give the largest change in a slice, in units of the noise there, by axis."""
    axes = ((1, 2), (0, 2), (0, 1))
    return [
        (np.abs(off).max(axis=axis) / allowed).max()
        for axis, allowed in zip(axes, noise_of_it, strict=True)
    ]


@pytest.mark.parametrize("kind", ["blank", "constant"])
def test_the_ends_of_a_quiet_line_are_allowed_what_they_make(kind):
    """Told by its rms, a line between the edges has a fifth of the noise that its end makes."""
    allowed = [axis[0] for axis in noise(kind)]
    worst = max(max(most(noisy(seed)[0], allowed)) for seed in range(200, 220))
    assert worst < 2  # 4 times it is the bound of a half


def test_ordinary_rows_are_judged_as_before_beside_an_even_one():
    both, alone = noise("normal", "blank"), noise("normal", "picture")
    for even, plain in zip(both, alone, strict=True):
        np.testing.assert_array_equal(even[0], plain[0])
        assert (even[1] >= plain[1]).all()
        assert (even[1] > plain[1]).any()


def test_a_quiet_line_stays_quiet():
    """Between the edges no place of a row is noisy but its left end, which is left out here."""
    case = Drawn(("blank",), (SHAPE,))
    zero = np.zeros(SHAPE, np.float32)

    class WithoutEnds(Drawing):
        def run(self, feeds):
            maps = super().run(feeds)["y"]
            maps[:, :, EDGE:-EDGE, :2] = maps[:, :, EDGE:-EDGE, 2:4]
            return {"y": maps}

    spread = measure_spread({case: {"y": zero}}, (WithoutEnds(0), WithoutEnds(100)), Layout())
    _, rows, columns = (axis[0] for axis in spread.noise(case.name, "y", changes(zero, zero, 1)))
    assert rows[EDGE:-EDGE].max() < 0.3 * rows[:EDGE].min()
    assert columns.min() > 0.5 * columns.max()
