"""Toy problems held to their rule, row by row in plain Python."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnkit.data.toys import TOYS
from attnkit.errors import UsageError

ANSWER = {
    "copy": lambda tokens, places, t: tokens[t],
    "reverse": lambda tokens, places, t: tokens[len(tokens) - 1 - t],
    "itself": lambda tokens, places, t: tokens[t],
    "neighbour": lambda tokens, places, t: tokens[t - 1 if t >= 1 else t],
    "two-back": lambda tokens, places, t: tokens[t - 2 if t >= 2 else t],
    "needle": lambda tokens, places, t: tokens[places.index(1)],
}


@given(
    name=st.sampled_from(sorted(TOYS)),
    rows=st.integers(1, 6),
    length=st.integers(4, 17),
    vocabulary=st.integers(4, 11),
    seed=st.integers(0, 999),
)
def test_each_answer_stands_where_the_rule_says(name, rows, length, vocabulary, seed):
    toy = TOYS[name]
    generator = torch.Generator().manual_seed(seed)
    inputs, targets = toy.draw(generator, rows=rows, length_tokens=length, vocabulary=vocabulary)
    assert inputs.shape == (rows, length, 2) and inputs.dtype == targets.dtype == torch.int64
    assert targets.shape == (rows, 1 if toy.queries == "one" else length)
    for row, answers in zip(inputs.tolist(), targets.tolist(), strict=True):
        tokens, places = [token for token, _ in row], [place for _, place in row]
        assert all(0 <= token < vocabulary for token in tokens)
        assert all(0 <= place < toy.places(length) for place in places)
        assert sorted(places) == (list(range(length)) if toy.queries != "one" else [0] * (length - 1) + [1])
        assert answers == [ANSWER[name](tokens, places, t) for t in range(len(answers))]


def test_the_generator_alone_decides():
    toy = TOYS["needle"]
    first, again, other = (toy.draw(torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("name", sorted(TOYS))
def test_tokens_and_needles_are_spread_evenly(name):
    inputs, _ = TOYS[name].draw(torch.Generator().manual_seed(0), rows=4000, length_tokens=8, vocabulary=5)
    share = inputs[..., 0].flatten().bincount(minlength=5) / inputs[..., 0].numel()
    assert (share - 0.2).abs().max() < 0.02
    where = (inputs[..., 1] == 1).float().mean(0)
    assert TOYS[name].queries != "one" or (where - 1 / 8).abs().max() < 0.03


def test_too_small_is_refused():
    with pytest.raises(UsageError, match="length_tokens >= 4"):
        TOYS["copy"].draw(torch.Generator(), length_tokens=3)
