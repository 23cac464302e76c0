"""A learning curve's fit: it finds a law that is there, and keeps silent where there is none."""

import numpy as np
import pytest

from attnkit.compare.power_law import PowerLaw, fit, forecast

SHARES = (0.25, 0.5, 0.75, 1.0)


def drawn(errors: list[float], spread: float) -> np.ndarray:
    return np.array(errors) + spread * np.random.default_rng(0).normal(size=(500, len(errors)))


@pytest.mark.parametrize("law", [PowerLaw(0.05, 0.1, 0.5), PowerLaw(0.0, 0.2, 0.3), PowerLaw(0.1, 0.02, 1.0)])
def test_a_law_is_found_again(law: PowerLaw) -> None:
    found = fit(SHARES, [law.at(share) for share in SHARES])
    assert found.at(2.0) == pytest.approx(law.at(2.0), abs=2e-3)
    assert found.at(0.5) == pytest.approx(law.at(0.5), abs=1e-3)


def test_a_steep_curve_says_that_more_would_help() -> None:
    errors = [0.4, 0.283, 0.231, 0.2]
    told = forecast(SHARES, np.array(errors), drawn(errors, 0.002))
    assert told.verdict == "help" and told.low is not None and told.high is not None
    assert 0.12 < told.low <= 0.2 * 2**-0.5 <= told.high < 0.17
    assert "would likely help" in told.sentence and f"{told.low:.4f}" in told.sentence


def test_a_curve_at_its_floor_says_that_more_would_gain_little() -> None:
    errors = [0.25, 0.201, 0.2, 0.2]
    told = forecast(SHARES, np.array(errors), drawn(errors, 0.0005))
    assert told.verdict == "little" and "gain little" in told.sentence


def test_noise_is_given_no_statement() -> None:
    errors = [0.21, 0.2, 0.205, 0.2]
    told = forecast(SHARES, np.array(errors), drawn(errors, 0.02))
    assert told.verdict == "unclear" and told.law is None and "nothing can be foretold" in told.sentence
    steep = [0.30, 0.25, 0.24, 0.22]
    wide = forecast(SHARES, np.array(steep), drawn(steep, 0.012))
    assert wide.verdict == "unclear" and wide.law is not None and "not clear" in wide.sentence


def test_two_points_are_no_curve() -> None:
    told = forecast((0.5, 1.0), np.array([0.3, 0.2]), drawn([0.3, 0.2], 0.001))
    assert told.law is None and "too few" in told.sentence
