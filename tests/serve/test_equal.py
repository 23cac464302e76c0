"""A batched answer is the unbatched one, within 1e-5, for every way of reading a text."""

import random
from typing import Any, cast

import pytest
import torch

from attnkit.data.schema import Schema
from attnkit.data.tokens import fit
from attnkit.model.build import build_model
from attnkit.model.settings import ModelSettings
from attnkit.serve.batcher import Batcher
from attnkit.serve.of_run import OfRun
from attnkit.serve.settings import Batching
from attnkit.task.single_label import SingleLabel
from attnkit.train.predictor import Predictor
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.saved_model import SavedModel

WORDS = [f"word{n}" for n in range(60)]
SIZES: dict[str, Any] = {
    "embedding_width": 16, "width": 16, "beside": ("mean", "max"), "words_beside": True, "ngrams": 2, "wide_ngrams": 0,
    "wide_rows": 1, "wide_min_texts": 1, "wide_smoothing": 1.0, "branch_dropout": 0.0, "word_dropout": 0.1,
    "embedding_dropout": 0.2, "dropout": 0.2, "hierarchical": False,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "words": {"encoder": "none"},
    "bilstm": {"encoder": "bilstm"},
    "cnn": {"encoder": "cnn"},
    "transformer": {"encoder": "transformer", "layers": 2, "words_beside": False},
    "documents": {"encoder": "bilstm", "hierarchical": True, "ngrams": 0, "words_beside": False},
    "wide": {"encoder": "none", "wide_ngrams": 2, "wide_rows": 50},
    "sparse pooling": {"encoder": "none", "pooling": "sparsemax"},
}


def texts(count: int) -> list[str]:
    draw = random.Random(0)
    found = ["", "word1", "nothing known here", "word2 " * 200]
    for _ in range(count - len(found)):
        made = draw.choices(WORDS, k=draw.choice([1, 2, 3, 5, 8, 13, 21, 40, 70]))
        found.append(". ".join(" ".join(made[at : at + 9]) for at in range(0, len(made), 9)))
    return found


def untrained(**changed: Any) -> Predictor:
    settings = ModelSettings(**{**SIZES, **changed})
    tokenizer = fit("word", texts(200), 100, min_count=1)
    torch.manual_seed(0)
    network = build_model(settings, tokenizer.size, 3).eval()
    prepare = Preprocessing(tokenizer, 64, settings.hierarchical is True, 6, 12)
    schema = Schema(("text",), "label", "single", ("a", "b", "c"))
    return Predictor(SavedModel(network, settings, prepare, SingleLabel(("a", "b", "c")), schema))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batched_answer_is_the_unbatched_one(kind: str) -> None:
    predictor = untrained(**KINDS[kind])
    model, asked = OfRun(predictor, cast(Any, None), kind), texts(90)
    alone = [predictor.predict([text])[0] for text in asked]
    batcher = Batcher(Batching(32, 50))
    batcher.start([model])
    together = [promise.result(60) for promise in batcher.predict(model, asked)]
    looks = [batcher.look(model, text).result(60) for text in asked[:6]]
    batcher.stop()
    for one, other in zip(alone, together, strict=True):
        assert one.probabilities == pytest.approx(other.prediction.probabilities, abs=1e-5)
    assert len({round(one.probabilities["a"], 4) for one in alone}) > 20, "answers that differ can be mixed up"
    for look, one in zip(looks, alone, strict=False):
        assert look.prediction.probabilities == pytest.approx(one.probabilities, abs=1e-5)


def test_tokens_beyond_the_limit_are_counted() -> None:
    model = OfRun(untrained(encoder="none"), cast(Any, None), "words")
    assert [item.cut for item in model.encode(["word1", "word2 " * 64, "word2 " * 200])] == [0, 0, 136]
    documents = OfRun(untrained(**KINDS["documents"]), cast(Any, None), "documents")
    assert [item.cut for item in documents.encode(["word1. word2", "word2 " * 200])] == [0, 136]


def test_computations_come_in_few_sizes() -> None:
    model = OfRun(untrained(encoder="none"), cast(Any, None), "words")
    seen = set()
    model._predictor.network.register_forward_pre_hook(lambda network, given: seen.add(tuple(given[0].shape)))
    for rows in range(1, 33):
        model.answer(model.encode([f"word1 word{n}" for n in range(rows)]))
    assert {shape[0] for shape in seen} == {1, 2, 3, 4, 6, 8, 12, 16, 24, 32}
