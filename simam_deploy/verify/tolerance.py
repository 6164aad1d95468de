"""How far an output may be off, by precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.verify.slices import Sliced


@dataclass(frozen=True)
class Tolerance:
    """Bounds the largest difference in a slice of an output, relative to its largest magnitude.

    Correct runs differ by what the network makes of rounding: 3e-7 in a CIFAR network, 2.5e-4 in
    a resnet152 of drawn weights. So the bound is `factor` times the change that `unit`, by default
    one unit in the last place, drawn anew behind every layer, makes to this slice; at least
    `floor` of the slice, at most `cap` of the row that it is part of. Correct exports of the
    published networks came to between 0.6 and 7 times that change.
    """

    factor: float
    floor: float
    cap: float
    unit: str = "one unit of rounding behind every layer"
    whole: bool = False
    """Relative to the largest magnitude of a row and not of a slice: where a tensor is quantised,
    its small slices are off by steps of the largest."""
    given: bool = False
    """By a user, and not derived: floor and cap are the same then."""

    def allowed(self, sizes: Sliced, whole: Array, noise: Sliced) -> Sliced:
        """Give the bound on a difference in every row and slice.

        Args:
            sizes: The largest magnitude there.
            whole: That of each row, (rows,).
            noise: What rounding changes there.
        """
        return [
            np.minimum(
                self.cap * (size if self.given else whole[:, None]),
                np.maximum(self.floor * size, self.factor * each),
            )
            for size, each in zip(sizes, noise, strict=True)
        ]

    def __str__(self) -> str:
        """State the rule."""
        if self.given:
            return f"{self.cap:g} of a slice's largest value, AS GIVEN, not derived"
        return (
            f"{self.factor:g} x what {self.unit} changes, "
            f"at least {self.floor:.0e}, at most {self.cap:.0e}"
        )


ROUNDED_LAYERS = "rounding every layer's result to that precision"
TOLERANCES = {
    "fp32": Tolerance(factor=16, floor=5e-6, cap=1e-3),
    "fp16": Tolerance(factor=16, floor=4e-3, cap=5e-2),
    "bf16": Tolerance(factor=16, floor=3e-2, cap=1e-1),
    "int8": Tolerance(factor=16, floor=2**-6, cap=5e-2, whole=True),
    "fp8": Tolerance(factor=16, floor=2**-6, cap=5e-2, whole=True),
}
"""By precision, of a model that stays in it; below float32 the floor is four units in its last
place, which for int8 is 2^-8; fp8 is held to int8's. One unit of float32's rounding behind every
layer of an int8 network moves a value here and there to the next of 127 steps: correct runs differ
by nothing, or by up to 1e-2 where the output itself is quantised. What such a bound would hide, its
gates show."""
SELECTED = 4e-3
"""The least cap for what is computed of a selection's rows: a box that float32 moves by 0.006
pixels may be read from another level or with a sample more, which moves a golden Mask R-CNN's masks
by 1.0e-3 and those of a small one by 1.6e-3. The bound itself is what rounding makes there."""
CONVERTED = {
    "fp16": Tolerance(factor=4, floor=4e-3, cap=0.2, unit=ROUNDED_LAYERS),
    "bf16": Tolerance(factor=4, floor=3e-2, cap=0.5, unit=ROUNDED_LAYERS),
    "int8": Tolerance(factor=16, floor=0.15, cap=0.15, whole=True),
    "fp8": Tolerance(factor=16, floor=0.15, cap=0.15, whole=True),
}
"""Of a float32 model made half or int8. Correct conversions of the published networks to half came
to between 0.8 and 2.1 times what rounding their layers alone costs; the caps are what a resnet152
of drawn weights comes near to. Faults that so wide a bound would hide are found layer by layer and
gate by gate. What int8 and fp8 cost depends on their calibration: the bound tells a wreck from a
network, and agreement on data tells the rest."""
COUNTED = 0.1
"""The most of a row's integers or booleans that may differ, however many rounding changes."""
LOST = 0.5
"""The same of the rows of a set. What it was selected from is compared without such freedom."""
