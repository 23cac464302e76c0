"""The search for smaller networks: its pieces, a whole one, one that was killed, and one that finds nothing."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.errors import FailedError, UsageError
from attnkit.model.changes import apply_changes
from attnkit.run.directory import Run
from attnkit.shrink.frontier import Account, find, find_frontier, loss_of
from attnkit.shrink.frontier.account import FILE
from attnkit.shrink.frontier.making import Making, work_of
from attnkit.shrink.frontier.numbers import NUMBERS
from attnkit.shrink.frontier.pareto import pareto
from attnkit.shrink.frontier.structure import Room, Structure
from attnkit.shrink.holding import kept_words
from attnkit.shrink.parent import Parent
from attnkit.task.base import Selection
from attnkit.train import train
from attnkit.train.evaluation import evaluate
from tests.train.small import SMALL, small_data


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("parent")
    values = {**SMALL, "encoder": "transformer", "heads": 2, "layers": 2, "wide_ngrams": 0, "ngrams": 0}
    return train(small_data(folder), out=folder / "parent", **values)


def test_what_is_worse_in_both_ways_is_not_on_the_frontier() -> None:
    points = [(3, 1.0), (1, 5.0), (2, 5.0), (2, 2.0), (4, 1.0), (5, 0.5), (1, 6.0)]
    assert pareto(points, lambda one: one[0], lambda one: one[1]) == [(1, 5.0), (2, 2.0), (3, 1.0), (5, 0.5)]
    assert pareto([], lambda one: 0.0, lambda one: 0.0) == []


def test_wishes_are_read_or_refused() -> None:
    share, own = Selection("accuracy", True), Selection("rmse", False)
    assert loss_of("0.5pt", share) == 0.005 and loss_of("2 pt", share) == 0.02 and loss_of("0.02", own) == 0.02
    for wrong in ("", "-1pt", "half", "1%"):
        with pytest.raises(UsageError, match="--max-loss takes points such as 0.5pt or a number"):
            loss_of(wrong, share)
    with pytest.raises(UsageError, match="rmse has no points"):
        loss_of("0.5pt", own)


def test_each_step_goes_along_one_axis_as_far_as_there_is_room() -> None:
    room = Room(1, True, False, True, False, False)
    steps = set(room.further(Structure(layers=1, heads=2)))
    assert steps == {Structure(layers=1, heads=3), Structure(layers=1, heads=2, words=1)}
    assert not list(room.further(Structure(layers=1, heads=3, words=2)))


def test_the_rarest_words_go() -> None:
    change = kept_words(Counter({3: 1, 4: 9, 5: 9, 7: 2}), 8, 3)
    # 6 never stands anywhere, 3 once, 7 twice.
    assert change.numbers() == [0, 1, 2, 4, 5] and change.rows == 8


def test_a_structure_is_what_it_says(parent: Run) -> None:
    opened = Parent.open(parent)
    making = Making.of(opened, 20)
    structure = Structure(layers=1, heads=2, units=1, words=1, table=1, rank=2)
    network = opened.network()
    changes = making.changes(structure, opened.network())
    apply_changes(network, changes)
    kinds = [change.kind for change in changes]
    assert kinds == [
        "drop_layers",
        "remove_heads",
        "remove_units",
        "prune_vocabulary",
        "low_rank",
        "factorize_embedding",
    ]
    weakest = min(range(2), key=lambda layer: making.layers[layer])
    assert changes[0].to_plain()["layers"] == [weakest]
    assert work_of(network) < 0.6 * work_of(opened.network())
    words = len(network.get_parameter("embedding.rows.rows.weight"))
    assert words == 3 + making.vocabulary - 3 - round(0.5 * (making.vocabulary - 3))


def search(parent: Run, out: Path, **more: Any) -> tuple[Path, Account]:
    return find_frontier(parent, **{"max_loss": "0.5", "time_allowed": "20s", "out": out, **more})


def test_a_search_keeps_runs_that_are_what_it_says_of_them(parent: Run, tmp_path: Path) -> None:
    heard: list[str] = []
    folder, account = search(
        parent, tmp_path / "found", progress=lambda event: heard.append(str(event.values.get("sentence")))
    )
    assert account.state == "done" and account.kept and len(account.tried) > 3 and account.trained
    assert len(account.measured) == len(NUMBERS) * (1 + len(account.trained))
    sizes, lost = [one.disk_bytes for one in account.kept], [account.lost(one.value) for one in account.kept]
    assert sizes == sorted(sizes) and lost == sorted(lost, reverse=True) and max(lost) <= 0.5
    assert sizes[0] < account.before["disk_bytes"]
    for one in account.kept:
        run = Run.open(folder / one.run)
        assert run.metrics["validation"]["accuracy"]["value"] == pytest.approx(one.value)
        assert one.difference[0] == pytest.approx(one.value - account.before["value"])
        assert one.difference[1] <= one.difference[0] <= one.difference[2]
        assert one.test is not None and evaluate(run).measures["accuracy"].value == pytest.approx(one.test[0])
    # What was trained on the way has not read a test row.
    assert all(not Run.open(folder / one.run).metrics["test"] for one in account.trained)
    assert Account.load(folder) == account
    assert "<svg" in (folder / "frontier.svg").read_text("utf-8") and (folder / "frontier.png").stat().st_size > 5000
    assert any("structures were tried on" in sentence for sentence in heard)
    with pytest.raises(UsageError, match="holds a search; go on with --resume"):
        search(parent, folder)
    with pytest.raises(UsageError, match="was begun with --target size"):
        search(parent, folder, target="latency", resume=True)
    with pytest.raises(UsageError, match="a loss of 0.5 and --epochs 1; go on with the same"):
        search(parent, folder, epochs=2, resume=True)
    again = search(parent, folder, resume=True)
    assert again[1] == account


def test_a_search_that_was_killed_goes_on(parent: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(find, "measure_all", killed)
        with pytest.raises(KeyboardInterrupt):
            search(parent, tmp_path / "found", time_allowed="8s")
    before = Account.load(tmp_path / "found")
    assert before.state == "measuring" and before.tried and not before.kept
    torch.manual_seed(5)
    _, after = search(parent, tmp_path / "found", time_allowed="8s", resume=True)
    assert after.tried == before.tried and after.trained == before.trained and after.kept


def test_nothing_that_loses_so_little_is_said_and_not_passed_over(
    parent: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Account.lost
    monkeypatch.setattr(Account, "lost", lambda self, value: whole(self, value) + 1.0)
    with pytest.raises(FailedError, match="nothing smaller loses at most 0.5 accuracy .* raise --max-loss"):
        search(parent, tmp_path / "found", time_allowed="2s")
    account = Account.load(tmp_path / "found")
    assert account.state == "done" and account.measured and not account.kept
    with pytest.raises(FailedError, match="nothing smaller"):
        search(parent, tmp_path / "found", time_allowed="2s", resume=True)


def test_time_is_less_where_it_is_the_target(parent: Run, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "found", ignore_errors=True)
    _, account = search(parent, tmp_path / "found", target="latency", time_allowed="6s")
    assert all(one.ratio is not None and one.ratio > 0 for one in account.measured)
    assert (tmp_path / "found" / FILE).exists()
