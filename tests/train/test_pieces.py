"""Pieces of a batch: dealt out so that the sum does not depend on who computes it; and the precisions of a step."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnkit.errors import FailedError, UsageError
from attnkit.run.checkpoint import load_checkpoint, read_tensors
from attnkit.run.log import read_log
from attnkit.run.recipe import Recipe
from attnkit.train import fit_batch, train, update
from attnkit.train.choices import Choices
from attnkit.train.events import Event
from attnkit.train.fit_batch import choose_fitting_rows, trials
from attnkit.train.overrides import overrides
from attnkit.train.parallel.pieces import check_pieces, cut, deal, settle_pieces, stream
from attnkit.train.parallel.processes import ALONE, Processes
from attnkit.train.update import Update
from tests.train.small import SMALL, small_data

QUIET = {"encoder": "transformer", "heads": 2, "dropout": 0.0, "embedding_dropout": 0.0, "word_dropout": 0.0}


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 5))
def test_every_row_is_dealt_to_one_process_with_its_share(rows: int, rounds: int, size: int) -> None:
    numbers, pieces = list(range(100, 100 + rows)), rounds * size
    dealt = [deal(numbers, pieces, Processes(rank, size)) for rank in range(size)]
    assert len({len(mine) for mine in dealt}) == 1
    assert all(piece.number % size == rank for rank, mine in enumerate(dealt) for piece in mine)
    counted = [piece for mine in dealt for piece in mine if piece.share]
    assert sorted(row for piece in counted for row in piece.rows) == numbers
    assert all(piece.share == pytest.approx(len(piece.rows) / rows) for piece in counted)
    assert sorted(counted, key=lambda piece: piece.number) == cut(numbers, pieces) == deal(numbers, pieces, ALONE)
    assert all(piece.rows for mine in dealt for piece in mine)


def test_streams_differ_by_seed_step_and_piece() -> None:
    assert len({stream(seed, step, piece) for seed in range(3) for step in range(50) for piece in range(70)}) == 10_500


def test_pieces_are_settled_for_several_processes_and_held_to_them() -> None:
    for given_pieces, processes, settled in ((1, 1, 1), (1, 3, 3), (6, 3, 6)):
        choices = Choices(Recipe().with_values({"accumulate": given_pieces}))
        settle_pieces(choices, processes)
        assert choices.recipe.train.accumulate == settled
        assert ("train.accumulate" in choices.reasons) is (settled != given_pieces)
        check_pieces(settled, processes)
    with pytest.raises(UsageError, match="accumulate = 4 is no multiple of 3 processes"):
        check_pieces(4, 3)


def run(folder: Path, **settings: Any) -> list[float]:
    """The losses of a small run."""
    done = train(small_data(folder), out=folder / "run", **{**SMALL, **settings})
    return [line["loss"] for line in read_log(done.path / "log.jsonl") if line["event"] == "step"]


def test_pieces_of_unequal_sizes_add_up_to_the_batch(tmp_path: Path) -> None:
    found = []
    for pieces in (1, 3):
        place = tmp_path / str(pieces)
        place.mkdir()
        # 64 rows in batches of 7: pieces of 3, 2 and 2 rows, and one of a single row at the end.
        found.append(run(place, batch_rows=7, accumulate=pieces, class_weights=True, **QUIET))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_low_precisions_learn_what_float32_learns(tmp_path: Path, precision: str) -> None:
    losses = run(tmp_path, precision=precision, epochs=5, **QUIET)
    (tmp_path / "exact").mkdir()
    exact = run(tmp_path / "exact", epochs=5, **QUIET)
    assert losses != exact and losses[:8] == pytest.approx(exact[:8], abs=0.05)
    assert sum(losses[-8:]) < sum(losses[:8])


def test_a_scale_that_overflows_costs_a_step_and_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scales: list[float] = []
    made, taken = Update.__init__, Update.__call__

    def large(one: Update, *parts: Any) -> None:
        made(one, *parts)
        one.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)

    def watched(one: Update, *what: Any) -> float:
        before = [parameter.detach().clone() for parameter in one.model.parameters()]
        scales.append(one.scaler.get_scale())
        value = taken(one, *what)
        moved = any(not torch.equal(old, new) for old, new in zip(before, one.model.parameters(), strict=True))
        assert moved is (one.scaler.get_scale() >= scales[-1])
        return value

    monkeypatch.setattr(Update, "__init__", large)
    monkeypatch.setattr(Update, "__call__", watched)
    losses = run(tmp_path, encoder="transformer", heads=2, precision="float16", epochs=10, batch_rows=4)
    assert scales[0] == 2.0**60 and scales[1] == 2.0**59 and scales[-1] < 2.0**40
    assert all(loss == loss for loss in losses)


def test_a_scaled_run_goes_on_bit_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(Exception):
        pass

    def crash(event: Event) -> None:
        if event.kind == "step" and event.values["step"] == 5:
            raise Crash

    # So large a scale overflows at each of the first steps, and is another one at each.
    monkeypatch.setattr(update, "make_scaler", lambda precision: torch.amp.GradScaler("cpu", init_scale=2.0**60))
    settings = {**SMALL, "encoder": "transformer", "heads": 2, "precision": "float16", "checkpoint_every_steps": 2}
    settings["epochs"] = 8
    source = small_data(tmp_path)
    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", progress=crash, **settings)
    kept = load_checkpoint(tmp_path / "run.partial" / "checkpoint.safetensors").facts["scaler"]
    assert kept["scale"] == 2.0**56
    train(source, out=tmp_path / "run", resume=True, **settings)
    train(source, out=tmp_path / "whole", **settings)
    one, two = (read_tensors(tmp_path / name / "model" / "weights.safetensors")[0] for name in ("run", "whole"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_rehearsal_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsed, rehearsals = Update.rehearse, []

    def watched(one: Update) -> None:
        before = torch.get_rng_state()
        rehearsals.append(rehearsed(one))
        assert torch.equal(torch.get_rng_state(), before)
        assert all(parameter.grad is None for parameter in one.model.parameters())

    monkeypatch.setattr(Update, "rehearse", watched)
    run(tmp_path, encoder="transformer", heads=2, precision="bfloat16", epochs=1)
    assert len(rehearsals) == 1


def test_what_the_machine_cannot_compute_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot compute the model in float16 .*LSTM.* train.precision") as caught:
        train(small_data(tmp_path), out=tmp_path / "run", **{**SMALL, "encoder": "bilstm", "precision": "float16"})
    assert "\n" not in str(caught.value) and [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_batches_of_many_tokens_and_of_several_sizes_are_trained_on(tmp_path: Path) -> None:
    for name, settings in {"tokens": {"batch_tokens": 96}, "mix": {"batch_mix": (4, 12)}}.items():
        (tmp_path / name).mkdir()
        source = small_data(tmp_path / name)
        wanted = {key: value for key, value in SMALL.items() if key != "batch_rows"}
        done = train(source, out=tmp_path / name / "run", batch_growth=1.5, **wanted, **settings)
        steps = [line for line in read_log(done.path / "log.jsonl") if line["event"] == "step"]
        assert {line["steps"] for line in steps} == {len(steps)} and steps[-1]["epoch"] == 2
    with pytest.raises(UsageError, match="a batch of 8 tokens does not hold the longest text"):
        train(small_data(tmp_path), out=tmp_path / "run", batch_tokens=8, **SMALL)
    with pytest.raises(UsageError, match="leave one of the two out"):
        train(small_data(tmp_path), out=tmp_path / "run", batch_mix=(4, 12), **{**SMALL, "batch_rows": 9})
    with pytest.raises(UsageError, match="reads tables of sentences"):
        train(small_data(tmp_path), out=tmp_path / "run", batch_tokens=96, hierarchical=True, **SMALL)
    assert not list(tmp_path.glob("run*"))


def test_a_batch_is_as_large_as_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"encoder": "transformer", "heads": 2, "embedding_width": 16, "width": 16, "max_tokens": 40}
    wanted = {**settings, "fit_batch": True, "accumulate": 2, "hierarchical": False, "ngrams": 0, "words_beside": False}
    beside = {"beside": (), "word_dropout": 0.0, "embedding_dropout": 0.0, "dropout": 0.0}
    choices = Choices(Recipe().with_values({**wanted, **beside}))
    monkeypatch.setattr(fit_batch, "free_bytes", lambda: 64 * 10**9)
    # 2,000 rows: batches of 40 leave 50 steps, and 1, 2, 4, 8 and 16 rows in each of two pieces all fit.
    choose_fitting_rows(choices, [3] * 1900 + [99] * 100, 50, 2, False)
    assert choices.recipe.train.batch_rows == 32
    reason = choices.reasons["train.batch_rows"]
    assert re.match(r"16 of the longest texts at a time take 0\.\d\d GB of the 32\.00 that a process may use", reason)
    choose_fitting_rows(choices, [3] * 9, 50, 2, False)
    assert choices.recipe.train.batch_rows == 32
    monkeypatch.setattr(fit_batch, "free_bytes", lambda: 10**8)
    with pytest.raises(FailedError, match=r"not one of the longest texts fits into 0.05 GB \(one takes 0\.\d\d GB\)"):
        choose_fitting_rows(Choices(choices.recipe.with_values({"batch_rows": "auto"})), [3] * 200, 50, 2, False)
    with pytest.raises(UsageError, match="give train.batch_rows a number"):
        tables = choices.recipe.with_values({"batch_rows": "auto", "hierarchical": True})
        choose_fitting_rows(Choices(tables), [3] * 200, 50, 2, False)


def test_a_trial_ends_before_twice_as_many_rows_are_too_many() -> None:
    plain = {"encoder": "none", "embedding_width": 8, "width": 8, "hierarchical": False, "ngrams": 0, "beside": ()}
    still = {"words_beside": False, "word_dropout": 0.0, "embedding_dropout": 0.0, "dropout": 0.0}
    model = Recipe().with_values({**plain, **still}).model
    asked = {"model": model.model_dump(mode="json"), "precision": "float32", "vocabulary_size": 9, "outputs": 2,
             "lengths": [5] * 6, "bytes": 10**12, "allow_code": False}  # fmt: skip
    assert [rows for rows, _ in trials(asked)] == [1, 2, 4]
    assert [rows for rows, _ in trials({**asked, "bytes": 1})] == [1]


def test_batch_names_a_number_or_what_fits() -> None:
    assert overrides(batch="auto") == {"train.fit_batch": True, "train.batch_rows": "auto"}
    assert overrides(batch="24") == {"train.batch_rows": 24}
    with pytest.raises(UsageError, match="given twice"):
        overrides(["batch_rows=3"], batch="24")
