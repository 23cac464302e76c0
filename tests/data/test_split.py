"""Splits: seeded, stratified, no text on two sides, every row exactly once."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.data import Example, Row, Schema, Splits, Table, folds, make_splits, split_ids
from attnkit.errors import UsageError

SCHEMA = Schema(("text",), "label", "single", ("a", "b", "c"))


def table(rows: list[tuple[str, object]], name: str = "all") -> Table:
    body = [Row({"text": text, "label": label}, f"{name}.csv", line) for line, (text, label) in enumerate(rows, 2)]
    return Table(name, ("text", "label"), body)


def numbered(count: int, labels: str = "ab", mark: str = "text") -> list[tuple[str, object]]:
    return [(f"{mark} {number}", labels[number % len(labels)]) for number in range(count)]


def texts(examples: list[Example]) -> list[str]:
    return [example.text for example in examples]


def labels(examples: list[Example]) -> Counter[object]:
    return Counter(example.label for example in examples)


def test_shares_are_held_out_by_label_and_every_row_stands_once() -> None:
    rows = [*numbered(700, "a"), *numbered(200, "b", "b text"), *numbered(100, "c", "c text")]
    splits = make_splits({"all": table(rows)}, SCHEMA, validation=0.1, test=0.2, seed=3)
    assert labels(splits.validation) == {"a": 70, "b": 20, "c": 10}
    assert labels(splits.test) == {"a": 140, "b": 40, "c": 20}
    everything = [*splits.train, *splits.validation, *splits.test]
    assert sorted(texts(everything)) == sorted(text for text, _ in rows)
    assert [note.split(" of ")[0] for note in splits.notes] == ["200", "100"]
    assert "(share 0.2, by label, seed 3)" in splits.notes[0]


def test_many_small_classes_still_give_the_whole_share_and_keep_a_training_row_each() -> None:
    rows = [(f"text {number}", f"class {number // 4}") for number in range(400)]
    splits = make_splits({"all": table(rows)}, SCHEMA, validation=0.1)
    assert 36 <= len(splits.validation) <= 44
    assert len(labels(splits.train)) == 100
    alone = make_splits({"all": table([*numbered(50), ("only", "c")])}, SCHEMA, validation=0.5)
    assert "only" in texts(alone.train)


def test_the_draw_depends_on_the_seed_and_on_nothing_else() -> None:
    rows = numbered(200)
    first, again, other = (make_splits({"all": table(rows)}, SCHEMA, seed=seed) for seed in (1, 1, 2))
    assert texts(first.validation) == texts(again.validation) != texts(other.validation)
    shuffled = make_splits({"all": table(rows[::-1])}, SCHEMA, seed=1)
    assert set(texts(shuffled.validation)) == set(texts(first.validation))
    # Rows keep their order within a split.
    assert texts(first.train) == [text for text, _ in rows if text in set(texts(first.train))]


def test_a_fresh_process_draws_the_same() -> None:
    code = (
        "from tests.data.test_split import *\n"
        "print(texts(make_splits({'all': table(numbered(60))}, SCHEMA, seed=5).validation))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(texts(make_splits({"all": table(numbered(60))}, SCHEMA, seed=5).validation))


def test_rows_of_the_same_text_stay_together() -> None:
    rows = [(f"text {number // 4}", "ab"[number // 4 % 2]) for number in range(400)]
    splits = make_splits({"all": table(rows)}, SCHEMA, validation=0.2, test=0.2)
    parts = [set(texts(part)) for part in (splits.train, splits.validation, splits.test)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert len(splits.validation) == 80


def test_given_splits_are_kept_and_their_texts_leave_training() -> None:
    tables = {
        "train": table([*numbered(20), ("shared", "a"), (" shared ", "b"), ("both", "a")], "train"),
        "validation": table([("both", "a"), ("dev", "b")], "validation"),
        "test": table([("shared", "a"), ("new", "b")], "test"),
    }
    splits = make_splits(tables, SCHEMA, validation=0.1, test=0.5)
    assert texts(splits.train) == [text for text, _ in numbered(20)]
    assert texts(splits.validation) == ["both", "dev"] and texts(splits.test) == ["shared", "new"]
    assert splits.notes == (
        "2 training rows whose texts stand in the test split are dropped.",
        "1 training row whose text stands in the validation split is dropped.",
    )


def test_no_validation_where_none_is_wanted() -> None:
    splits = make_splits({"all": table(numbered(10))}, SCHEMA, validation=0.0)
    assert (len(splits.train), splits.validation, splits.test, splits.notes) == (10, [], [], ())


def test_scores_are_shared_out_over_their_range() -> None:
    rows = [(f"text {number}", number / 7) for number in range(200)]
    schema = Schema(("text",), "label", "score", ())
    held = sorted(example.label for example in make_splits({"all": table(rows)}, schema, validation=0.1).validation)
    assert len(held) == 20
    # Two of each tenth of the range.
    assert [int(score * 7 // 20) for score in held] == [tenth for tenth in range(10) for _ in range(2)]


def test_rare_classes_of_several_are_shared_out() -> None:
    rows = [(f"text {number}", ["common", "rare"] if number % 20 == 0 else ["common"]) for number in range(400)]
    schema = Schema(("text",), "label", "multi", ("common", "rare"))
    held = make_splits({"all": table(rows)}, schema, validation=0.25).validation
    assert sum("rare" in example.label for example in held) == 5


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0), (1, 0), (0.5, 0.5), (0, 1.5), (float("nan"), 0)])
def test_impossible_shares_are_refused(validation: float, test: float) -> None:
    with pytest.raises(UsageError, match="shares must be"):
        make_splits({"all": table(numbered(10))}, SCHEMA, validation=validation, test=test)


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(UsageError, match="no training rows"):
        make_splits({"test": table(numbered(10), "test")}, SCHEMA)
    same = table(numbered(10))
    with pytest.raises(UsageError, match="no training rows"):
        make_splits({"train": same, "test": same}, SCHEMA)


@given(
    st.lists(st.tuples(st.sampled_from("uvwxyz"), st.sampled_from("abc")), min_size=2, max_size=40), st.integers(2, 5)
)
def test_folds_hold_each_row_out_once(rows: list[tuple[str, str]], k: int) -> None:
    examples = [Example(text, None, label, "a.csv", line) for line, (text, label) in enumerate(rows, 2)]
    if len(set(texts(examples))) < k:
        with pytest.raises(UsageError, match="number of folds"):
            folds(examples, k)
        return
    made = folds(examples, k)
    assert sorted(example.line for _, held in made for example in held) == [example.line for example in examples]
    for rest, held in made:
        assert held and not set(texts(rest)) & set(texts(held))
        assert len(rest) + len(held) == len(examples)


def test_folds_are_stratified_and_seeded() -> None:
    examples = [Example(f"text {number}", None, "a" if number < 80 else "b", "a.csv", number) for number in range(100)]
    made = folds(examples, 5, seed=1)
    assert all(labels(held) == {"a": 16, "b": 4} for _, held in made)
    assert made == folds(examples, 5, seed=1) != folds(examples, 5, seed=2)


def test_ids_name_rows_by_their_content_alone() -> None:
    first = Example("text", None, "a", "one.csv", 2)
    ids = split_ids(Splits([first, Example("text", None, "a", "two.csv", 9)], [Example("text", "x", "a", "", 1)], []))
    assert ids["train"][0] == ids["train"][1] != ids["validation"][0]
    assert ids["test"] == []
    # Written into run directories: a change of it would orphan them.
    assert ids["train"][0] == "510b7caa629d0864"


def dated(rows: list[tuple[str, str, object]]) -> Table:
    body = [Row({"text": t, "label": b, "day": d}, "all.csv", line) for line, (t, b, d) in enumerate(rows, 2)]
    return Table("all", ("text", "label", "day"), body)


@pytest.mark.parametrize("written", [lambda n: n, str, lambda n: f"2026-{1 + n // 28:02d}-{1 + n % 28:02d}"])
def test_with_an_order_the_last_of_each_label_are_held_out_and_test_comes_last(written: object) -> None:
    rows = [(f"text {n}", "ab"[n % 2], written(n)) for n in range(100)]  # type: ignore[operator]
    shuffled = [rows[37 * n % 100] for n in range(100)]
    splits = make_splits({"all": dated(shuffled)}, SCHEMA, validation=0.1, test=0.2, order="day")
    assert set(texts(splits.test)) == {f"text {n}" for n in range(80, 100)}
    assert set(texts(splits.validation)) == {f"text {n}" for n in range(70, 80)}
    assert set(texts(splits.train)) == {f"text {n}" for n in range(70)}
    assert "10 of 100 rows are held out as the validation split (share 0.1, the last of each label by day)." in (
        splits.notes
    )


def test_with_an_order_a_copy_of_a_late_text_is_held_out_with_it() -> None:
    rows = [*((f"text {n}", "a", n) for n in range(20)), ("text 19", "a", 0)]
    splits = make_splits({"all": dated(rows)}, SCHEMA, validation=0.1, order="day")
    assert texts(splits.validation) == ["text 19", "text 19"]


def test_folds_of_ordered_rows_are_runs_of_the_order() -> None:
    examples = [Example(f"text {n}", None, "ab"[n % 2], "a.csv", n, float(n)) for n in range(40)]
    made = folds(examples, 4)
    assert [sorted(e.line for e in held) for _, held in made] == [list(range(s, s + 10)) for s in (30, 20, 10, 0)]
    few = [Example(f"text {n}", None, f"class {n // 2}", "a.csv", n, float(n)) for n in range(8)]
    assert all(len(held) == 2 for _, held in folds(few, 4))


def test_an_order_that_cannot_be_read_is_refused() -> None:
    rows: list[tuple[str, str, object]] = [("one", "a", 1), ("two", "b", None), ("three", "a", 3)]
    with pytest.raises(UsageError, match="all.csv:3 the column 'day' is empty"):
        make_splits({"all": dated(rows)}, SCHEMA, order="day")
    with pytest.raises(UsageError, match="no column 'date'.*text, label, day"):
        make_splits({"all": dated(rows)}, SCHEMA, order="date")
    # Only training rows are ordered: given splits may lack the column.
    tables = {"train": dated([("one", "a", 1), ("two", "a", 2)]), "test": table([("new", "b")], "test")}
    assert texts(make_splits(tables, SCHEMA, validation=0.5, order="day").validation) == ["two"]
