"""What gates a graph gives, site by site: y / x, as its nodes round, over one run of the network.

Not the formula on the map: a site that overflows shows what it makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.graph.file.typed import with_types
from simam_deploy.graph.types import FLOAT_TYPES, SMALLEST_NORMAL, precision_of
from simam_deploy.precision.taps import Taps, sites_of

LOW, HIGH = 0.62, 1.0
"""Gates lie in [0.6225, 1); a half type rounds the lowest by 3e-4, bfloat16 by 2e-3."""
BINS = 38
"""Each 0.01 wide."""


@dataclass(frozen=True)
class GateHistogram:
    """The gates of one site.

    Attributes:
        name: The site's.
        shape: Of its map, (N, C, H, W).
        shares: The share of pixels in each of `BINS` bins from `LOW` to `HIGH`; those beyond are
            in the first and the last.
        low: The lowest gate; NaN where no pixel shows one.
        mean: Of all.
        high: The highest.
        broken: How many values are NaN or infinite.
    """

    name: str
    shape: tuple[int, ...]
    shares: tuple[float, ...]
    low: float
    mean: float
    high: float
    broken: int


def gate_histograms(model: ir.Model, feeds: Feeds) -> tuple[GateHistogram, ...]:
    """Run a model and count the gates of its SimAM sites that apply them to a map (N, C, H, W).

    Args:
        model: Plain ops, in any precision; it is used up.
        feeds: An array per input.

    Returns:
        One a site, in the graph's order; none where there is no such site.

    Raises:
        InputError: ONNX Runtime does not take the model, or not these.
    """
    model = with_types(model)
    least = 2 * SMALLEST_NORMAL[FLOAT_TYPES[precision_of(model)]]  # y = 0.6225 x is normal too
    sites = sites_of(model)
    if not sites:
        return ()
    values = list(dict.fromkeys(value for site in sites for value in (site.x, site.y)))
    with Taps(model, values) as taps:
        arrays = dict(zip(values, taps.read(feeds), strict=True))
    return tuple(_counted(site.name, arrays[site.x], arrays[site.y], least) for site in sites)


def _counted(name: str, x: Array, y: Array, least: float) -> GateHistogram:
    x, y = x.astype(np.float64), y.astype(np.float64)
    shown = np.isfinite(x) & np.isfinite(y) & (np.abs(x) >= least)
    gates = y[shown] / x[shown]
    counts, _ = np.histogram(np.clip(gates, LOW, HIGH), BINS, (LOW, HIGH))
    shares = counts / max(gates.size, 1)
    ends = (gates.min(), gates.mean(), gates.max()) if gates.size else (np.nan,) * 3
    low, mean, high = map(float, ends)
    broken = int(np.count_nonzero(~np.isfinite(y)))
    return GateHistogram(name, x.shape, tuple(shares.tolist()), low, mean, high, broken)
