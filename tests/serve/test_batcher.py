"""Texts are gathered, computed with their like, and answered one by one, whatever befalls their neighbors."""

import threading

import pytest

from attnkit.errors import FailedError
from attnkit.serve.batcher import Batcher, Busy, Computed
from attnkit.serve.settings import Batching
from tests.serve.serving import Counting, said

PATIENT = 10_000.0


def started(settings: Batching, model: Counting, heard: list[Computed] | None = None) -> Batcher:
    batcher = Batcher(settings, (lambda one: None) if heard is None else heard.append)
    batcher.start([model])
    model.batches.clear()
    return batcher


def held(batcher: Batcher, model: Counting) -> None:
    """Keep the thread busy, so that what comes next waits together."""
    batcher.predict(model, ["wait"])
    assert model.began.wait(30)
    model.batches.clear()


def test_what_waits_together_is_computed_together_and_each_gets_its_own_answer() -> None:
    model, heard = Counting(), list[Computed]()
    batcher = started(Batching(8, 0), model, heard)
    held(batcher, model)
    texts = ["one", "one two", "one two three", "one two three four"]
    promises = [promise for text in texts for promise in batcher.predict(model, [text])]
    model.let_go.set()
    assert [promise.result(30).prediction for promise in promises] == [said(n) for n in (1, 2, 3, 4)]
    assert model.batches == [[1, 2, 3, 4]]
    batcher.stop()
    assert (heard[-1].rows, heard[-1].tokens, heard[-1].padded) == (4, 10, 16)


def test_work_is_done_in_turn_between_computations() -> None:
    model, order = Counting(), list[str]()
    batcher = started(Batching(8, 0), model)
    held(batcher, model)
    before = batcher.predict(model, ["one", "two"])
    done = batcher.do(lambda: order.append(f"after {len(model.batches)} computations"))
    behind = batcher.predict(model, ["three"])
    model.let_go.set()
    assert done.result(30) is None and [one.result(30).prediction for one in before + behind] == [said(1)] * 3
    assert model.batches == [[1, 1], [1]] and order == ["after 1 computations"]
    with pytest.raises(ZeroDivisionError):
        batcher.do(lambda: 1 / 0).result(30)  # type: ignore[arg-type, return-value]
    assert batcher.predict(model, ["four"])[0].result(30).prediction == said(1)
    batcher.stop()


def test_texts_of_other_lengths_are_computed_apart() -> None:
    model = Counting()
    batcher = started(Batching(8, 0, tokens=120), model)
    held(batcher, model)
    promises = batcher.predict(model, ["a " * n for n in (20, 3, 50, 28, 8, 50, 50)])
    model.let_go.set()
    assert [promise.result(30).prediction for promise in promises] == [said(n) for n in (20, 3, 50, 28, 8, 50, 50)]
    assert model.batches == [[3, 8], [20, 28], [50, 50], [50]], "at most half as long again, and at most 120 tokens"
    batcher.stop()


def test_a_text_waits_for_others_no_longer_than_it_is_told() -> None:
    model = Counting()
    batcher = started(Batching(2, 1000), model)
    first, second = batcher.predict(model, ["one"]) + batcher.predict(model, ["two"])
    assert first.result(30) == second.result(30)
    assert model.batches == [[1, 1]]
    alone = batcher.predict(model, ["three"])[0]
    assert alone.result(30).prediction == said(1)
    assert model.batches == [[1, 1], [1]]
    batcher.stop()


@pytest.mark.parametrize("unbatched", ["one row a batch", "a model whose rows mix"])
def test_batching_can_be_off(unbatched: str) -> None:
    model = Counting(batchable=unbatched != "a model whose rows mix")
    batcher = started(Batching(1 if unbatched == "one row a batch" else 8, 0), model)
    held(batcher, model)
    promises = batcher.predict(model, ["a b", "a b", "a b"])
    model.let_go.set()
    assert [promise.result(30).prediction for promise in promises] == [said(2)] * 3
    assert model.batches == [[2], [2], [2]]
    batcher.stop()


def test_a_text_that_fails_fails_alone() -> None:
    model = Counting()
    batcher = started(Batching(8, 0), model)
    held(batcher, model)
    good, bad, also = batcher.predict(model, ["one two", "one fail", "three four"])
    model.let_go.set()
    assert good.result(30).prediction == also.result(30).prediction == said(2)
    with pytest.raises(FailedError, match="not finite"):
        bad.result(30)
    batcher.stop()


def test_the_queue_takes_all_texts_of_a_request_or_none() -> None:
    model = Counting()
    batcher = started(Batching(2, 0, queue_rows=3), model)
    held(batcher, model)
    kept = batcher.predict(model, ["a", "b"])
    with pytest.raises(Busy, match="2 texts wait already and at most 3 may"):
        batcher.predict(model, ["c", "d"])
    last = batcher.predict(model, ["e"])
    assert batcher.full
    model.let_go.set()
    assert [promise.result(30).prediction for promise in kept + last] == [said(1)] * 3
    assert batcher.waiting == 0
    batcher.stop()


def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    model = Counting()
    batcher = started(Batching(8, 0), model)
    held(batcher, model)
    given_up, kept = batcher.predict(model, ["a b c", "a b"])
    assert given_up.cancel()
    model.let_go.set()
    assert kept.result(30).prediction == said(2)
    assert model.batches == [[2]]
    batcher.stop()


def test_stopping_answers_what_waits_and_takes_nothing_more() -> None:
    model = Counting()
    batcher = started(Batching(2, PATIENT / 10), model)
    held(batcher, model)
    promises = batcher.predict(model, ["a"] * 5)
    stopper = threading.Thread(target=batcher.stop)
    stopper.start()
    model.let_go.set()
    assert [promise.result(30).prediction for promise in promises] == [said(1)] * 5
    stopper.join(30)
    assert not batcher.alive
    with pytest.raises(Busy, match="stopping"):
        batcher.predict(model, ["b"])


def test_two_models_share_the_thread_and_no_batch() -> None:
    one, two = Counting("one"), Counting("two")
    batcher = started(Batching(8, 0), one)
    held(batcher, one)
    promises = [batcher.predict(model, ["a"])[0] for model in (one, two, one, two)]
    one.let_go.set()
    assert all(promise.result(30).prediction == said(1) for promise in promises)
    assert one.batches == two.batches == [[1, 1]]
    batcher.stop()


def test_a_model_that_cannot_be_computed_is_heard_of_at_the_start() -> None:
    model = Counting()
    model.answer = None  # type: ignore[assignment,method-assign]
    with pytest.raises(TypeError):
        Batcher(Batching()).start([model])
