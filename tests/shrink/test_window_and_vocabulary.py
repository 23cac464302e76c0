"""A window on a trained layer, and a vocabulary without its rare words."""

import pytest
import torch

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Both, Causal, Strided
from attnkit.attention.pattern import Window as WindowPattern
from attnkit.attention.plain import to_plain
from attnkit.data.tokens import fit, pruned
from attnkit.model.changes.base import layers_of
from attnkit.model.changes.prune_vocabulary import PruneVocabulary, as_ranges
from attnkit.model.changes.window import windowed
from tests.shrink.networks import changed, logits, network

TEXTS = ["the cat sat", "the dog sat", "the cat ran"]


def test_a_window_that_reaches_everything_changes_nothing_and_a_narrow_one_is_the_pattern() -> None:
    whole = logits(network(attention="rope"))
    torch.testing.assert_close(logits(changed(network(attention="rope"), "window", layer=0, width_tokens=99)), whole)
    narrow = changed(
        changed(network(attention="rope"), "window", layer=0, width_tokens=3), "window", layer=1, width_tokens=3
    )
    spec = layers_of(network(attention="rope"))[0].get_submodule("attention").spec
    built = network(attention=to_plain(windowed(spec, 3)))
    # Positions come with the operator or with the encoder: that of rope has them itself.
    torch.testing.assert_close(logits(narrow), logits(built))
    assert not torch.allclose(logits(narrow), whole, atol=1e-3)


def test_the_pattern_that_is_there_stays() -> None:
    assert windowed(Pairwise(), 5).pattern == WindowPattern(5)
    assert windowed(Pairwise(pattern=Causal()), 5).pattern == WindowPattern(5, causal=True)
    assert windowed(Pairwise(pattern=Strided(2)), 5).pattern == Both(Strided(2), WindowPattern(5))
    with pytest.raises(ValueError, match="Linear has no pattern"):
        changed(network(attention="linear"), "window", layer=0, width_tokens=5)
    with pytest.raises(ValueError, match="layer below"):
        changed(network(attention="evolving"), "window", layer=0, width_tokens=5)


def test_pruned_words_are_unknown_and_others_stay_what_they_are() -> None:
    tokenizer = fit("word", TEXTS, 30, True, 1)
    kept = [0, 1, 2, *(row for row in range(3, tokenizer.size) if tokenizer.tokens([row])[0] != "sat")]
    small = pruned(tokenizer, kept)
    assert small.size == tokenizer.size - 1 and small.kind == "word"
    words = [small.tokens(ids) for ids in small.encode_all(TEXTS)]
    assert words == [["the", "cat", "[UNK]"], ["the", "dog", "[UNK]"], ["the", "cat", "ran"]]
    assert small.from_json(small.to_json()).encode_all(TEXTS) == small.encode_all(TEXTS)
    with pytest.raises(ValueError, match="pieces that are made of one another"):
        pruned(fit("bpe", TEXTS, 300, True, 1), [0, 1, 2, 3])


def test_rows_of_the_table_go_with_the_words() -> None:
    model, whole = network(), network()
    changed(model, "prune_vocabulary", kept="0-4,7,9-20", rows=30)
    table = whole.get_parameter("embedding.rows.weight")
    assert torch.equal(model.get_parameter("embedding.rows.weight"), table[[*range(5), 7, *range(9, 21)]])
    ids, renumbered = torch.tensor([[4, 7, 10]]), torch.tensor([[4, 5, 7]])
    keep = torch.ones(1, 3, dtype=torch.bool)
    with torch.no_grad():
        torch.testing.assert_close(model(renumbered, keep), whole(ids, keep))
    assert as_ranges([*range(5), 7, *range(9, 21)]) == "0-4,7,9-20"
    assert PruneVocabulary("0-4,7,9-20", 30).numbers() == [*range(5), 7, *range(9, 21)]


def test_vocabularies_that_others_count_by_are_refused() -> None:
    with pytest.raises(ValueError, match="wide branch are numbered by the vocabulary"):
        changed(network(wide_ngrams=1, wide_rows=1, branch_dropout=0.1), "prune_vocabulary", kept="0-9", rows=30)
    with pytest.raises(ValueError, match="hashed n-grams go by the numbers"):
        changed(network(ngrams=2, ngram_buckets=50), "prune_vocabulary", kept="0-9,12", rows=30)
    changed(network(ngrams=2, ngram_buckets=50), "prune_vocabulary", kept="0-9", rows=30)
    with pytest.raises(ValueError, match="it is for a vocabulary of 31 rows, and this one has 30"):
        changed(network(), "prune_vocabulary", kept="0-9", rows=31)
    for wrong in ("1-9", "0-9,5", "0-40", "0-29", "a", "0-9,"):
        with pytest.raises(ValueError, match="prune_vocabulary.kept"):
            PruneVocabulary(wrong, 30)
