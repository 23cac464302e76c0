"""Every catalogue line learns its toy problem, and the same network with a uniform map does not."""

import pytest

from attnkit.attention.catalogue import CATALOGUE
from tests.laws.toy_network import ENOUGH, GUESS, examine

QUICK = ("vaswani", "bahdanau", "window")


def learned_and_needed(name: str) -> None:
    result = examine(name)
    print(result.row)
    assert result.learned >= ENOUGH
    assert result.uniform <= GUESS


@pytest.mark.parametrize("name", QUICK)
def test_a_few_lines_learn_their_toy(name):
    learned_and_needed(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CATALOGUE if name not in QUICK])
def test_every_line_learns_its_toy(name):
    learned_and_needed(name)
