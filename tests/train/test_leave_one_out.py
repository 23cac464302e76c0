"""In training the wide branch answers a text by what the other rows say, and either branch at times alone."""

import math

import pytest
import torch

from attnkit.data.batches import collate, pack
from attnkit.kernels.packed import Pieces
from attnkit.model.build import build_model
from attnkit.model.naive_bayes import fit
from attnkit.model.ngram_rows import NgramRows
from attnkit.model.settings import ModelSettings
from attnkit.model.wide import WideNgrams
from attnkit.task.multi_label import MultiLabel
from attnkit.task.single_label import SingleLabel
from attnkit.train.leave_one_out import left_out

V, M = 10, 2.0
ITEMS = [[3, 4], [3, 5, 4], [4, 3], [5, 6, 6], [3, 4, 6]]
TARGETS = torch.tensor([0, 1, 2, 1, 0])
TASK = SingleLabel(("a", "b", "c"))


def fitted() -> WideNgrams:
    wide = WideNgrams(NgramRows(V, 20, 2), 3, 0.0)
    fit(wide, ITEMS, TARGETS, "single", min_texts=1, smoothing=M)
    return wide


def expected(gram: tuple[int, ...], text: int) -> list[float]:
    """r of an n-gram by its formula, the text itself taken out of the counts."""
    share = [(2 + 1) / (5 + 3), (2 + 1) / (5 + 3), (1 + 1) / (5 + 3)]
    said = []
    for c in range(3):
        rows = [i for i in range(5) if i != text and int(TARGETS[i]) == c]
        held = sum(any(tuple(ITEMS[i][k : k + len(gram)]) == gram for k in range(len(ITEMS[i]))) for i in rows)
        said.append(math.log(held / share[c] + M))
    return [one - sum(said) / 3 for one in said]


def test_counts_without_the_text_itself_are_those_of_the_formula() -> None:
    wide = fitted().train()
    ids, keep = collate(ITEMS)
    with left_out(wide, TARGETS, TASK):
        rows = wide.features.rows(ids, keep)
        ratio = wide.features._ratios(rows, keep)
    for text, item in enumerate(ITEMS):
        for end in range(len(item)):
            for n in (1, 2):
                if end >= n - 1:
                    gram = tuple(item[end - n + 1 : end + 1])
                    assert ratio[text, end, n - 1].tolist() == pytest.approx(expected(gram, text), abs=1e-5)


def test_nothing_is_left_out_behind_the_block_in_use_or_of_other_tasks() -> None:
    wide = fitted().train()
    ids, keep = collate(ITEMS)
    whole = wide(ids, keep)
    with left_out(wide, TARGETS, TASK):
        assert not torch.allclose(wide(ids, keep), whole)
        assert torch.allclose(wide.eval()(ids, keep), whole)
        with left_out(wide, None, TASK):
            assert torch.equal(wide.train()(ids, keep), whole)
    assert torch.equal(wide(ids, keep), whole)
    with left_out(wide, TARGETS, MultiLabel(("a", "b", "c"))):
        assert torch.equal(wide(ids, keep), whole)


def test_nothing_is_left_out_where_the_recipe_says_so() -> None:
    wide = WideNgrams(NgramRows(V, 20, 2), 3, 0.0, leave_one_out=False).train()
    fit(wide, ITEMS, TARGETS, "single", min_texts=1, smoothing=M)
    inputs = collate(ITEMS)
    plain = wide(*inputs)
    with left_out(wide, TARGETS, TASK):
        assert torch.equal(wide(*inputs), plain)
    usual = fitted().train()
    with left_out(usual, TARGETS, TASK):
        assert not torch.equal(usual(*inputs), plain)


def test_packed_texts_leave_out_the_same() -> None:
    wide = fitted().train()
    padded, (ids, lengths) = collate(ITEMS), pack(ITEMS)
    with left_out(wide, TARGETS, TASK):
        told = wide(ids, Pieces(lengths, ids.shape[1] - sum(lengths)))
        assert torch.allclose(told, wide(*padded), atol=1e-5)


def test_noise_that_was_never_counted_takes_nothing_out() -> None:
    wide = fitted().train()
    ids, keep = collate([[5]])
    with left_out(wide, torch.tensor([0]), TASK):
        rows = wide.features.rows(ids, keep)
        assert torch.allclose(wide.features._ratios(rows, keep)[0, 0, 0], wide.features.ratio[5], atol=1e-5)


def test_each_branch_answers_some_texts_alone_and_never_neither() -> None:
    settings = {"encoder": "none", "hierarchical": False, "embedding_width": 4, "width": 4, "beside": (), "ngrams": 0}
    dropout = {"word_dropout": 0.0, "embedding_dropout": 0.0, "dropout": 0.0, "words_beside": False}
    wide = {"wide_ngrams": 1, "wide_rows": 1, "branch_dropout": 0.3, "wide_dropout": 0.0}
    torch.manual_seed(0)
    model = build_model(ModelSettings(**settings, **dropout, **wide), V, 3)
    assert model.wide is not None
    fit(model.wide, ITEMS, TARGETS, "single", min_texts=1, smoothing=M)
    ids, keep = collate([[3, 4]] * 4000)
    with torch.no_grad():
        beside = model.wide(ids, keep)[0]
        both = model.eval()(ids[:1], keep[:1])[0]
        drawn = model.train()(ids, keep)
    kinds = [(drawn - kind).abs().amax(1) < 1e-5 for kind in (both, beside, both - beside)]
    assert all(sum(kind[row] for kind in kinds) == 1 for row in range(4000))
    assert [float(kind.float().mean()) for kind in kinds] == pytest.approx([0.4, 0.3, 0.3], abs=0.03)
