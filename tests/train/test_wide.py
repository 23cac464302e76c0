"""The wide branch: its n-grams are exact, its first values are those of naive Bayes, each n-gram counts once a text."""

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from attnkit.data.batches import collate, pack
from attnkit.kernels.packed import Pieces
from attnkit.layers import tapped
from attnkit.model.build import build_model
from attnkit.model.classifier import TextClassifier
from attnkit.model.naive_bayes import count_ngrams, fit
from attnkit.model.ngram_rows import NgramRows, shares
from attnkit.model.settings import ModelSettings
from attnkit.model.wide import WideNgrams
from attnkit.run.recipe import Recipe
from attnkit.task.single_label import SingleLabel
from attnkit.train import load, train
from attnkit.train.objective import Batch, Objective
from tests.train.small import SMALL, small_data
from tests.train.test_resume import Crash, assert_same_end, stop_at

V = 12
TEXTS = st.lists(st.lists(st.integers(0, V - 1), max_size=8), min_size=1, max_size=6)


def grams(ids: list[int], longest: int) -> Counter[tuple[int, ...]]:
    """The n-grams of a text, by their words; ids up to 2 are no words."""
    runs = (tuple(ids[i : i + n]) for n in range(1, longest + 1) for i in range(len(ids) - n + 1))
    return Counter(run for run in runs if min(run) > 2)


def made(items: list[list[int]], targets: Tensor, kind: str = "single", **how: float) -> WideNgrams:
    settings = {"longest": 3, "min_texts": 1, "smoothing": 2.0, "outputs": 2, "dropout": 0.0, **how}
    longest, least = int(settings["longest"]), int(settings["min_texts"])
    count = int(settings.get("rows", count_ngrams(items, V, longest, least)))
    wide = WideNgrams(NgramRows(V, max(1, count), longest), int(settings["outputs"]), settings["dropout"])
    fit(wide, items, targets, kind, min_texts=least, smoothing=settings["smoothing"])
    return wide.eval()


def labels(count: int) -> Tensor:
    return torch.arange(count) % 2


def known(items: list[list[int]], longest: int, least: int) -> set[tuple[int, ...]]:
    held = Counter(gram for item in items for gram in grams(item, longest))
    return {gram for gram, count in held.items() if len(gram) == 1 or count >= least}


@given(TEXTS, TEXTS, st.integers(1, 4), st.integers(1, 2))
def test_every_n_gram_of_the_training_texts_and_no_other_has_a_row_of_its_own(
    items: list[list[int]], others: list[list[int]], longest: int, least: int
) -> None:
    wide = made(items, labels(len(items)), longest=longest, min_texts=least)
    met = known(items, longest, least)
    assert count_ngrams(items, V, longest, least) == sum(len(gram) > 1 for gram in met)
    row_of: dict[int, tuple[int, ...]] = {}
    ids, keep = collate([*items, *others])
    rows = wide.features.rows(ids, keep)
    for text, item in enumerate([*items, *others]):
        for end in range(len(item)):
            for n in range(1, longest + 1):
                row = int(rows[text, end, n - 1])
                gram = tuple(item[max(0, end + 1 - n) : end + 1])
                wanted = len(gram) == n and min(gram) > 2 and (n == 1 or gram in met)
                assert (row > 0) == wanted, (gram, row)
                assert not row or row_of.setdefault(row, gram) == gram
    assert len(set(row_of.values())) == len(row_of)


@given(TEXTS)
def test_an_n_gram_counts_once_in_a_text(items: list[list[int]]) -> None:
    ids, keep = collate(items)
    found = shares(ids * (ids > 2), keep)
    for item, row in zip(items, found, strict=True):
        times = Counter(item)
        assert row[: len(item)].tolist() == pytest.approx([1 / times[word] if word > 2 else 0 for word in item])
    assert not found[~keep].any()


def test_dropout_takes_a_row_of_a_text_everywhere_or_nowhere() -> None:
    torch.manual_seed(0)
    ids = torch.tensor([[3, 4, 3, 4, 3]] * 400)
    found = shares(ids, torch.ones_like(ids, dtype=torch.bool), dropout=0.25)
    kept = found > 0
    assert torch.equal(kept[:, 0], kept[:, 2]) and torch.equal(kept[:, 0], kept[:, 4])
    assert torch.equal(kept[:, 1], kept[:, 3]) and not torch.equal(kept[:, 0], kept[:, 1])
    assert 0.7 < kept.float().mean() < 0.8
    assert torch.allclose(found[kept[:, 0], 0], torch.tensor(1 / 3))


def test_the_first_logits_are_naive_bayes_by_hand() -> None:
    items = [[3, 4], [3, 5], [4, 4, 3], [5]]
    targets = torch.tensor([0, 0, 1, 1])
    wide = made(items, targets, longest=2, smoothing=2.0)
    # Shares of both classes are 1/2, so r_gc is half of log((n_gc + 1) / (n_gd + 1)), toward class c.
    holds = {(3,): (2, 1), (4,): (1, 1), (5,): (1, 1), (3, 4): (1, 0), (3, 5): (1, 0), (4, 4): (0, 1), (4, 3): (0, 1)}

    def by_hand(text: list[int]) -> float:
        met = [holds[gram] for gram in grams(text, 2) if gram in holds]
        return 10 * sum(math.log((a + 1) / (b + 1)) / 2 for a, b in met) / len(met)

    for text in ([3, 4], [3, 4, 3, 4], [4, 4, 4], [5, 3, 4]):
        logits = wide(*collate([text]))[0]
        assert logits.tolist() == pytest.approx([by_hand(text), -by_hand(text)], abs=1e-5), text


def test_classes_of_other_sizes_tip_nothing() -> None:
    # Word 3 stands in half of each class, word 4 in all of the small one and none of the large.
    items = [[3] if n % 2 else [5] for n in range(400)] + [[3, 4] if n % 2 else [5, 4] for n in range(40)]
    targets = torch.tensor([0] * 400 + [1] * 40)
    ratio = made(items, targets, longest=1).features.ratio
    assert abs(float(ratio[3, 1] - ratio[3, 0])) < 0.05 < 1 < float(ratio[4, 1] - ratio[4, 0])


def test_label_sets_and_scores_have_ratios_of_their_own() -> None:
    items = [[3, 4], [3], [4], [5]]
    sets = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    ratio = made(items, sets, "multi", longest=1).features.ratio
    assert float(ratio[3, 0]) == pytest.approx(math.log(2 / 0.5 + 2) - math.log(0 / 0.5 + 2))
    assert float(ratio[3, 1]) == pytest.approx(0)
    scores = made(items, torch.tensor([2.0, 1.0, -1.0, -2.0]), "score", longest=1, outputs=1).features.ratio
    assert scores[3:6, 0].tolist() == pytest.approx([3 / 4, 1 / 4, -2 / 3])


def test_where_rows_are_few_the_n_grams_of_most_texts_are_kept() -> None:
    items = [[3, 4, 5], [3, 4, 5], [3, 4], [5, 5], [5, 5], [6, 7]]
    wide = made(items, labels(6), rows=2)
    rows = wide.features.rows(*collate([[3, 4, 5], [5, 5], [6, 7]]))
    assert (rows[0, 1, 1] > 0) and not rows[:, :, 2].any() and not rows[1:, :, 1].any()


@given(TEXTS)
def test_packed_texts_get_the_logits_of_padded_ones(items: list[list[int]]) -> None:
    wide = made([[3, 4, 5], [4, 5, 3], [5, 5, 6, 7]], labels(3))
    with torch.no_grad():
        wide.features.score.weight.normal_()
    ids, lengths = pack(items)
    packed = wide(ids, Pieces(lengths, ids.shape[1] - sum(lengths)))
    assert torch.allclose(packed, wide(*collate(items)), atol=1e-5)


def test_what_the_map_shows_of_a_word_is_the_weight_of_the_n_grams_that_end_there() -> None:
    items = [[3, 4, 3], [4, 5]]
    wide = made(items, labels(2), longest=2)
    with torch.no_grad():
        wide.features.score.weight[3] = 0.2
    ids, keep = collate([[3, 4, 3, 8]])
    # Of word 3 (score 5 x 0.2) half stands at each end; words 4 and 8 and the pairs 3 4 and 4 3 weigh 1 each.
    weights = torch.tensor([math.e / 2, 2, math.e / 2 + 1, 1])
    with tapped(wide) as calls:
        wide(ids, keep)
    assert torch.allclose(calls[0].matrix().flatten(), weights / weights.sum(), atol=1e-6)


def test_mixed_texts_are_answered_by_what_the_other_rows_say() -> None:
    items = [[3, 4, 5], [4, 5, 6], [3, 6]]
    usual = {"embedding_width": 4, "width": 4, "hierarchical": False, "beside": [], "ngrams": 0, "words_beside": False}
    noise = dict.fromkeys(("dropout", "embedding_dropout", "word_dropout", "branch_dropout"), 0.0)
    settings = {"encoder": "none", "wide_ngrams": 1, "wide_rows": 1, **usual, **noise}
    network = build_model(ModelSettings.model_validate(settings), V, 2)
    assert isinstance(network, TextClassifier) and network.wide is not None
    seen: list[Tensor | None] = []
    network.wide.features.register_forward_pre_hook(lambda module, given: seen.append(module.own_B))
    objective = Objective(SingleLabel(("a", "b")), Recipe().with_values({"mixup": 0.5}), labels(3))
    objective(network.train(), Batch(collate(items), labels(3)))
    assert len(seen) == 1 and seen[0] is not None and torch.equal(seen[0], labels(3))
    assert network.wide.features.own_B is None


def test_autocast_changes_nothing() -> None:
    wide = made([[3, 4, 5], [4, 5, 3]], labels(2))
    inputs = collate([[3, 4, 5, 5], [4, 4]])
    with torch.autocast("cpu", torch.bfloat16):
        low = wide(*inputs)
    assert torch.equal(low, wide(*inputs))


def test_a_run_counts_its_n_grams_resumes_bit_equal_and_is_loaded_with_them(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    settings = {**SMALL, "encoder": "none", "wide_ngrams": 2, "ema_decay": 0.5}
    whole = train(data, out=tmp_path / "whole", **settings)
    with pytest.raises(Crash):
        train(data, out=tmp_path / "run", progress=stop_at(5), **settings)
    assert_same_end(train(data, out=tmp_path / "run", resume=True, **settings).path, whole.path)
    rows = load(whole).network.wide.features.rows  # type: ignore[union-attr]
    assert whole.recipe.model.wide_rows == len(rows.keys) > 1
    assert (rows.keys[:-1] < rows.keys[1:]).all() and rows.keys[-1] < 2**62
    said = load(whole).predict(["a lovely film", "the plot was awful"])
    assert [one.label for one in said] == ["pos", "neg"]
