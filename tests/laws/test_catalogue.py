"""Every catalogue line passes every law, at sizes hypothesis draws, and comes back from a TOML file."""

import tomllib

import pytest
import tomli_w
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnkit.attention.catalogue import CATALOGUE, named
from attnkit.attention.laws import LAWS, check_attention
from attnkit.attention.laws.subject import random_params
from attnkit.attention.part import Dims, init_params
from attnkit.attention.plain import from_plain, to_plain
from attnkit.data.toys import TOYS

few = settings(max_examples=3, derandomize=True, deadline=None)
ODD = st.integers(0, 6).map(lambda half: 2 * half + 1)
ALWAYS = set(LAWS) - {"the future does not leak", "the window is exact", "step by step equals the whole"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_law_holds(name):
    entry = CATALOGUE[name]

    @few
    @given(
        square=ODD,
        queries=st.integers(1, 12),
        keys=st.integers(1, 12),
        beyond=st.integers(1, 5),
        seed=st.integers(0, 99),
    )
    def hold(square, queries, keys, beyond, seed):
        longest = entry.witness_tokens + beyond
        report = check_attention(
            entry.operator,
            sizes=[(1, 1), (square, square), (queries, keys), (longest, longest)],
            witness_tokens=entry.witness_tokens,
            generator=torch.Generator().manual_seed(seed),
        )
        print(report)
        assert not report.failed
        assert {row.law for row in report.rows if row.status == "passed"} >= ALWAYS

    hold()


@pytest.mark.parametrize("name", CATALOGUE)
def test_comes_back_from_plain_data_and_from_toml(name):
    operator = CATALOGUE[name].operator
    plain = to_plain(operator)
    assert from_plain(plain) == operator
    assert from_plain(tomllib.loads(tomli_w.dumps(plain))) == operator
    assert hash(from_plain(plain)) == hash(operator)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_laws_are_tried_away_from_where_parameters_begin(name):
    operator, dims = CATALOGUE[name].operator, Dims(2, 4, 4)
    start = init_params(operator, dims, torch.Generator().manual_seed(1), torch.float64)
    drawn = random_params(operator, dims, torch.Generator().manual_seed(1))
    assert start.keys() == drawn.keys()
    assert all(not torch.equal(start[key], drawn[key]) for key in start)


def test_there_are_at_least_forty_lines_and_each_is_another_operator():
    assert len(CATALOGUE) >= 40
    assert len({entry.operator for entry in CATALOGUE.values()}) == len(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_line_says_what_it_is(name):
    entry = CATALOGUE[name]
    assert entry.summary and not entry.summary.endswith(".")
    assert any(letter.isdigit() for letter in entry.source), "a source has a year"
    assert entry.toy in TOYS
    assert name == name.lower() and " " not in name


def test_a_name_is_looked_up_and_the_nearest_is_offered():
    assert named("longformer") == CATALOGUE["longformer"].operator
    with pytest.raises(ValueError, match=r"no attention is called 'longfomer' \(did you mean 'longformer'\?\)"):
        named("longfomer")
    with pytest.raises(ValueError, match=r"did you mean 'vaswani'\?"):
        named("Vaswani")
