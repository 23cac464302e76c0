"""What roles stand on: blocks of a map, delimiters, and scores that are merged and judged."""

import pytest
import torch

from attnkit.attention.base import Attention
from attnkit.attention.combine import Sum
from attnkit.attention.factored import Linear, Linformer
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims
from attnkit.attention.pattern import Window
from attnkit.attention.where import Where
from attnkit.capture.roles import RoleScore, name_roles, roles_of
from attnkit.capture.roles.blocks import map_blocks
from attnkit.capture.roles.delimiters import ends_segment, is_delimiter
from tests.capture.planted import call


def test_merged_scores_are_those_of_all_items() -> None:
    values = torch.tensor([0.5, 0.7, 0.9, 0.2, 0.4], dtype=torch.float64)
    parts = [values[:2], values[2:3], values[3:]]
    made = [
        RoleScore("sink", 0.4, mean, 0.1, mean, float(x.std()) if len(x) > 1 else 0.0, len(x), 10 * len(x))
        for x in parts
        for mean in [float(x.mean())]
    ]
    (head,) = name_roles([[[one]] for one in made])
    assert head[0]["mean"] == pytest.approx(float(values.mean()))
    assert head[0]["spread"] == pytest.approx(float(values.std()))
    assert head[0]["n"] == 5 and head[0]["queries"] == 50 and head[0]["score"] == pytest.approx(float(values.mean()))
    assert name_roles([[[RoleScore.from_dict(head[0])]]]) == [head]
    undecided = RoleScore("sink", 0.4, reason="none")
    assert name_roles([[[undecided]], [[made[0]]]]) == name_roles([[[made[0]]]])
    with pytest.raises(ValueError, match=r"got \[1, 2\] heads"):
        name_roles([[[made[0]]], [[made[0]], [made[1]]]])


def test_few_queries_are_no_evidence() -> None:
    """Above the threshold, and within what chance does with so few: no name; with more, one."""
    assert not RoleScore("sink", 0.4, 0.75, 0.3, 0.75, 0.0, 1, 9).named
    assert RoleScore("sink", 0.4, 0.75, 0.3, 0.75, 0.0, 1, 90).named
    assert not RoleScore("sink", 0.4, 0.5, 0.3, 0.5, 0.0, 1, 9000).named


SUM = Sum((Pairwise(pattern=Window(3)), Linear()))


@pytest.mark.parametrize("spec", [Pairwise(pattern=Window(5)), SUM, Linear()], ids=str)
def test_blocks_put_together_are_the_map(spec: Attention) -> None:
    generator = torch.Generator().manual_seed(2)
    q, k = (torch.randn(2, 4, 70, 8, generator=generator) for _ in range(2))
    keep = torch.arange(70) < torch.tensor([[70], [41]])
    where = Where.of(70, 70, keep=keep, query_keep=keep)
    params = {name: torch.rand(one.shape, generator=generator) for name, one in spec.parameters(Dims(4, 8, 8)).items()}
    seen = call(spec, q, k, where, params)
    whole = spec.matrix(q, k, where, params)
    found = torch.zeros_like(whole)
    for block in map_blocks(seen):
        found[block.item, block.heads, block.rows, block.columns] += block.weights_HRC
        total = whole[block.item, block.heads, block.rows].sum(-1)
        torch.testing.assert_close(block.total_HR, total, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-5)


def test_negative_weights_decide_nothing() -> None:
    spec = Linformer(4, 20)
    params = {name: torch.randn(one.shape) for name, one in spec.parameters(Dims(2, 8, 8)).items()}
    x = torch.randn(1, 2, 20, 8)
    found = roles_of(call(spec, x, x, params=params))
    assert all(one.score is None and "negative" in str(one.reason) for scores in found for one in scores)


def test_delimiters_are_known_as_tokenizers_write_them() -> None:
    for token in ("[SEP]", "[CLS]", "</s>", "<|endoftext|>", ".", "Ġ.", "▁!", "。", "Ċ", "\n", "ĊĊ", "?</w>"):
        assert is_delimiter(token) and ends_segment(token), token
    for token in (",", "Ġ,", "(", "、", "##,"):
        assert is_delimiter(token) and not ends_segment(token), token
    for token in ("the", "Ġthe", "##ing", "[PAD]", "[UNK]", "[MASK]", "", "▁", "a.b", "3.5"):
        assert not is_delimiter(token), token
