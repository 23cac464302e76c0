"""Networks as exports take them: LSTMs and lookups that export, what cannot leave its run, and every kind exported."""

from collections.abc import Sequence
from unittest import mock

import numpy as np
import pytest
import torch

from attnkit.data.tokens import fit
from attnkit.errors import UsageError
from attnkit.model.bilstm import BiLSTM
from attnkit.model.changes import (
    BFloat16,
    Change,
    DynamicInt8,
    FactorizeEmbedding,
    FakeIntegers,
    IntegerWeights,
    Magnitude,
    RemoveHeads,
    StaticInt8,
    apply_changes,
)  # fmt: skip
from attnkit.model.ngram_rows import NgramRows, _place
from attnkit.model.settings import ModelSettings
from attnkit.ship.lstm import with_exported_lstms
from attnkit.ship.network import refusal, traced
from attnkit.ship.targets import TARGETS
from attnkit.train.preprocessing import Preprocessing
from tests.train.test_models import KINDS, batch, made, settings_of


class Made:
    """A predictor around a network that was never trained."""

    def __init__(self, kind: str) -> None:
        self.network, self.settings = made(kind), settings_of(kind)
        words = [" ".join(f"w{number}" for number in range(37))] * 2
        self.preprocessing = Preprocessing(fit("word", words), 40, "hierarchical" in kind, 9, 9)


def test_a_search_by_halving_finds_what_torch_finds() -> None:
    draw = torch.Generator().manual_seed(0)
    for size in (1, 2, 3, 4, 5, 8, 9, 100):
        keys = torch.randint(0, 3 * size + 1, (size,), generator=draw).sort().values
        wanted = torch.arange(-1, 3 * size + 4)[None]
        with mock.patch("torch.compiler.is_exporting", lambda: True):
            found = _place(keys, wanted)
        assert torch.equal(found, _place(keys, wanted)), size
    rows = NgramRows(10, 4, 2)
    assert rows(torch.tensor([[3, 4]]), torch.ones(1, 2, dtype=torch.bool)).shape == (1, 2, 2)


def test_torchs_stand_in_for_an_lstm_is_the_same_to_the_bit() -> None:
    network = BiLSTM(6, 8, layers=2).eval().requires_grad_(False)
    keep = torch.arange(5)[None] < torch.tensor([5, 0, 2])[:, None]
    x = torch.randn(3, 5, 6)
    assert torch.equal(with_exported_lstms(network, "torch")(x, keep), network(x, keep))
    assert isinstance(network.onward[0], torch.nn.LSTM), "the run's own network was changed"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"language": "masked", "encoder": "transformer"}, "predicts words"),
        ({"pooling": "mine:Own"}, "mine:Own"),
        ({"pooling": {"type": "Pairwise", "score": {"type": "mine:Score"}}}, "mine:Score"),
        ({"encoder": "transformer", "attention": "mine:Own"}, "mine:Own"),
        ({"encoder": "cnn", "attention": "mine:Own"}, None),
    ],
)
def test_what_cannot_leave_its_run_says_why(change: dict, said: str | None) -> None:
    kind = Made("none")
    kind.settings = ModelSettings.model_validate({**settings_of("none").model_dump(), **change})
    reason = refusal(kind)  # type: ignore[arg-type]
    assert (reason is None) if said is None else (said in reason)
    if said:
        with pytest.raises(UsageError, match="cannot be shipped"):
            traced(kind, "onnx")  # type: ignore[arg-type]


def test_a_torch_program_answers_at_every_size_and_holds_no_pickle() -> None:
    check("words-beside", "torch")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "changes",
    [
        [IntegerWeights(4)], [IntegerWeights(8)], [StaticInt8()], [DynamicInt8()], [BFloat16()],
        [FakeIntegers(8)], [Magnitude(0.5), FactorizeEmbedding(3)], [RemoveHeads(0, (1,))],
    ],
    ids=lambda changes: "+".join(change.kind for change in changes) + str(getattr(changes[0], "bits", "")),
)  # fmt: skip
def test_every_change_leaves_a_network_that_can_be_shipped(changes: list[Change], target: str) -> None:
    check("transformer", target, changes)


def check(kind: str, target: str, changes: Sequence[Change] = ()) -> None:
    held = Made(kind)
    apply_changes(held.network, changes)
    content = TARGETS[target].make(traced(held, target, attention=True), "float32")  # type: ignore[arg-type]
    session = TARGETS[target].open(content)
    assert TARGETS[target].trouble(content) == []
    for lengths in ([1], [7, 1, 4], [0, 5, 3], [0], [30, 2]):
        ids, keep = batch(kind, lengths) if max(lengths) else (torch.zeros(1, 1, dtype=torch.int64),) * 2
        if not max(lengths) and "hierarchical" in kind:
            ids = keep = ids[..., None]
        logits, attention = session.run(ids.numpy(), keep.bool().numpy(), ["logits", "attention"])
        with torch.no_grad():
            wanted = held.network(ids, keep.bool()).numpy()
        np.testing.assert_allclose(logits, wanted, atol=1e-5 * max(1, np.abs(wanted).max()))
        assert attention.shape == keep.shape and not attention[~keep.bool().numpy()].any()
        sums = attention.reshape(len(keep), -1).sum(1)
        np.testing.assert_allclose(sums, keep.reshape(len(keep), -1).any(1).float(), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_answers_at_every_size(kind: str, target: str) -> None:
    check(kind, target)
