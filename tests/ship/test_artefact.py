"""An artefact answers as its run whatever it reads and predicts: pairs, documents, label sets, scores."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

import attnkit
from attnkit.bundle.batches import collated
from attnkit.bundle.contract import Contract
from attnkit.bundle.predictions import predictions
from attnkit.errors import FailedError, UsageError
from attnkit.task.multi_label import MultiLabel
from attnkit.task.score import Score
from attnkit.task.single_label import SingleLabel
from tests.ship.sessions import artefact_of, contract_of
from tests.train.small import SMALL, sentences, write_csv

PLAIN = {"ngrams": 0, "wide_ngrams": 0, "epochs": 1}
TEXTS = ["a good film", "", "the plot was dull. and cold! it was so very bad", "nothing known here", "good " * 50]


@pytest.mark.parametrize(
    "task", [SingleLabel(("a", "b", "c")), MultiLabel(("x", "y", "z")), Score(3.5, 1.25)], ids=lambda task: task.kind
)
def test_logits_mean_what_the_task_says(run: Path, task) -> None:
    contract = Contract(**{**vars(contract_of(attnkit.load(run))), "task": dict(task.to_dict())})
    logits = 20 * torch.randn(40, task.outputs, generator=torch.Generator().manual_seed(0))
    logits[0] = 0
    for told, wanted in zip(predictions(logits.numpy(), contract), task.predict(logits), strict=True):
        plain = wanted.to_dict()
        assert told.keys() == plain.keys()
        if task.kind == "score":
            assert told["label"] == pytest.approx(plain["label"], abs=1e-6)
            continue
        assert told["label"] == plain["label"]
        assert told["probabilities"] == pytest.approx(plain["probabilities"], abs=1e-12)


def test_logits_that_are_not_finite_are_an_error(run: Path) -> None:
    with pytest.raises(FailedError, match="not finite"):
        predictions(np.array([[np.nan, 0.0]], np.float32), contract_of(attnkit.load(run)))


def test_documents_are_cut_into_sentences_and_weighed_as_in_the_run(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "d.csv", [(f"{a}. {b}! so it was", label) for (a, label), (b, _) in zip(
        sentences(60), sentences(60, 1), strict=True)])  # fmt: skip
    run = attnkit.train(data, out=tmp_path / "run", encoder="none", hierarchical=True, **{**SMALL, **PLAIN})
    answers_alike(attnkit.load(run), TEXTS)


def test_pairs(tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [
        (a, b, draw.choice(("same", "other"))) for (a, _), (b, _) in zip(sentences(60), sentences(60, 1), strict=True)
    ]
    data = write_csv(tmp_path / "pairs.csv", rows, ("first", "second", "label"))
    run = attnkit.train(data, text=["first", "second"], out=tmp_path / "run", encoder="none", **{**SMALL, **PLAIN})
    predictor = attnkit.load(run)
    answers_alike(predictor, [("a film", "good"), ("", ""), ("a " * 40, "it"), ("it", "a " * 40)])
    with pytest.raises(UsageError, match="pair"):
        artefact_of(predictor).predict(["one text"])


def answers_alike(predictor, texts) -> None:
    artefact = artefact_of(predictor)
    assert artefact.encode(texts) == predictor.encode(texts)
    np.testing.assert_allclose(artefact.logits(texts, 2), predictor.logits(texts).numpy(), atol=1e-6)
    for told, wanted in zip(artefact.predict(texts), predictor.predict(texts), strict=True):
        assert told["label"] == wanted.label
    for text in texts:
        told, wanted = artefact.attention(text), predictor.attention(text)
        assert (told.tokens, told.cut) == (wanted.tokens, wanted.cut)
        assert told.weights == pytest.approx(wanted.weights, abs=1e-6)


def test_arrays_have_no_empty_axis() -> None:
    ids, keep = collated([[], [5, 6]], hierarchical=False)
    assert ids.tolist() == [[0, 0], [5, 6]] and keep.tolist() == [[False, False], [True, True]]
    assert collated([[]], hierarchical=False)[0].shape == (1, 1)
    assert collated([[]], hierarchical=True)[0].shape == (1, 1, 1)
    ids, keep = collated([[[5], [6, 7]], []], hierarchical=True)
    assert ids.tolist() == [[[5, 0], [6, 7]], [[0, 0], [0, 0]]] and keep.sum() == 3


def test_a_bare_string_is_refused_and_no_text_gives_nothing(run: Path) -> None:
    artefact = artefact_of(attnkit.load(run))
    assert artefact.predict([]) == []
    with pytest.raises(UsageError, match="bare string"):
        artefact.predict("a text")
    with pytest.raises(UsageError, match="--attention"):
        artefact_of(attnkit.load(run), attention=False).attention("a text")
