"""A power law through a learning curve, and what it says of twice the data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from attnkit.task.metrics.bootstrap import Floats

FITS = 400
FEWEST_POINTS = 3
# What would be worth having: this share of the error that is left.
WORTH = 0.05
STEEPEST, FLATTEST = 2.0, 0.05
HELP, LITTLE, UNCLEAR = "help", "little", "unclear"


@dataclass(frozen=True)
class PowerLaw:
    """error(n) = floor + slope (n / N)^-exponent, N being all training rows.

    Source: Hestness et al. 2017, Deep learning scaling is predictable, empirically, equation 1.
    """

    floor: float
    slope: float
    exponent: float

    def at(self, share: float) -> float:
        """The error at `share` x N rows."""
        return float(self.floor + self.slope * share**-self.exponent)


@dataclass(frozen=True)
class Forecast:
    """What the fit says of twice the data: the error now and then (`low` to `high`), and whether that would help.

    `verdict` is "help" where the whole range gains a twentieth of the error or more, "little" where all of it gains
    less, and "unclear" otherwise; `law` is None where nothing was fitted, for the reason in `sentence`.
    """

    verdict: str
    sentence: str
    law: PowerLaw | None = None
    now: float | None = None
    then: float | None = None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def fit(shares: Sequence[float], errors: Sequence[float] | Floats) -> PowerLaw:
    """The law nearest to the errors (least squares), with 0 <= floor, 0 <= slope and 0.05 <= exponent <= 2."""
    n, e = np.asarray(shares, dtype=np.float64), np.asarray(errors, dtype=np.float64)

    def apart(law: Floats) -> Floats:
        return np.asarray(law[0] + law[1] * n ** -law[2] - e)

    def slopes(law: Floats) -> Floats:
        power = n ** -law[2]
        return np.stack([np.ones_like(n), power, -law[1] * power * np.log(n)], 1)

    top = max(float(e.max()), 1e-9)
    bounds = ([0.0, 0.0, FLATTEST], [top, 10 * top, STEEPEST])
    start = [0.5 * max(float(e.min()), 1e-9), 0.5 * top, 0.5]
    found = least_squares(apart, start, jac=slopes, bounds=bounds, x_scale=[top, top, 1.0])
    return PowerLaw(*(float(one) for one in found.x))


def forecast(shares: Sequence[float], errors_P: Floats, drawn_RP: Floats) -> Forecast:
    """What the errors at P shares of the rows say of twice the data; `drawn_RP` are the same under resampling.

    Each of the first 400 resamples gets its own fit, and the range holds the middle 95 % of what they foretell: it
    covers other rows and seeds, not whether the curve goes on as a power law.
    """
    if len(shares) < FEWEST_POINTS:
        return Forecast(UNCLEAR, f"{len(shares)} shares are too few to fit a curve to; give {FEWEST_POINTS} or more.")
    fallen = drawn_RP[:, 0] - drawn_RP[:, -1]
    if np.percentile(fallen, 2.5) <= 0:
        return Forecast(
            UNCLEAR,
            "The error does not fall from the smallest share to the largest beyond its own noise, so nothing can be "
            "foretold of more data; more seeds or validation rows may show what these do not.",
        )
    law = fit(shares, errors_P)
    laws = [fit(shares, drawn) for drawn in drawn_RP[:FITS]]
    now, then = float(errors_P[-1]), law.at(2.0)
    low, high = (float(x) for x in np.percentile([one.at(2.0) for one in laws], [2.5, 97.5]))
    low, high = min(low, then), max(high, then)
    gains = np.percentile([(one.at(1.0) - one.at(2.0)) / max(one.at(1.0), 1e-12) for one in laws], [2.5, 97.5])
    verdict = HELP if gains[0] >= WORTH else LITTLE if gains[1] < WORTH else UNCLEAR
    said = {
        HELP: "Twice the data would likely help",
        LITTLE: "Twice the data would likely gain little",
        UNCLEAR: "Whether twice the data would help is not clear",
    }[verdict]
    sentence = (
        f"{said}: the fitted power law takes the error from {law.at(1.0):.4f} to between {low:.4f} and {high:.4f}, "
        f"{100 * gains[0]:.0f} to {100 * gains[1]:.0f} % less, if the curve goes on as it did."
    )
    return Forecast(verdict, sentence, law, now, then, low, high)
