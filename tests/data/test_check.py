"""Findings: each fault is found at its place, and sound data has none."""

import pytest

from attnkit.data import Example, Schema
from attnkit.data.check import check

SCHEMA = Schema(("text",), "label", "single", ("a", "b"))
SCORES = Schema(("text",), "score", "score", ())
MULTI = Schema(("text",), "label", "multi", ("a", "b"))


def rows(*pairs: tuple[str, object], file: str = "train.csv", pair: str | None = None) -> list[Example]:
    return [Example(text, pair, label, file, line) for line, (text, label) in enumerate(pairs, start=2)]


def sound(count: int = 12, file: str = "train.csv") -> list[Example]:
    return rows(*((f"{file} text {number}", "ab"[number % 2]) for number in range(count)), file=file)


def faults(splits: dict[str, list[Example]], schema: Schema = SCHEMA) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(entry.level, entry.sentence, entry.places) for entry in check(splits, schema)]


def test_sound_data_has_no_findings() -> None:
    assert faults({"train": sound(), "validation": sound(file="dev.csv"), "test": sound(file="test.csv")}) == []
    assert faults({"all": sound()}) == []


@pytest.mark.parametrize(
    ("extra", "level", "sentence", "lines"),
    [
        ([("", "a"), (" \n", "b")], "warning", "2 rows of the train split have an empty text", (14, 15)),
        ([("new", None)], "error", "1 row of the train split has no label", (14,)),
        ([("new", "c")], "error", "The train split has the unknown label 'c'", (14,)),
        ([("train.csv text 0", "a")], "warning", "1 row of the train split repeats an earlier row", (14,)),
        ([(" train.csv text 0 ", "a")], "warning", "1 row of the train split repeats an earlier row", (14,)),
        ([("train.csv text 0", "b")], "warning", "has the text of an earlier row and another label", (14,)),
        (
            [("cafÃ©", "a"), ("caf\ufffd", "b")],
            "warning",
            "2 texts of the train split have garbled characters",
            (14, 15),
        ),
        ([("itâ€™s", "a")], "warning", "1 text of the train split has garbled characters", (14,)),
    ],
)
def test_a_fault_is_found_at_its_lines(
    extra: list[tuple[str, object]], level: str, sentence: str, lines: tuple[int, ...]
) -> None:
    base = sound()
    added = [Example(text, None, label, "train.csv", 14 + number) for number, (text, label) in enumerate(extra)]
    ((found, said, places),) = [entry for entry in faults({"train": base + added}) if "fewer than" not in entry[1]]
    assert found == level and sentence in said and said.endswith(".")
    assert places == tuple(f"train.csv:{line}" for line in lines)
    assert f"train.csv:{lines[0]}" in said


def test_accents_are_not_garbled() -> None:
    texts = ["não é bom", "Übergröße", "SÃO PAULO", "crème brûlée", "£5 · 20 °C", "电影"]
    examples = rows(*((text, "ab"[number % 2]) for number, text in enumerate(texts)))
    assert not any("garbled" in sentence for _, sentence, _ in faults({"train": examples}))


def test_the_same_text_in_two_splits() -> None:
    shared = rows(("train.csv text 0", "a"), ("train.csv text 1", "b"), file="test.csv")
    ((level, sentence, places),) = faults({"train": sound(), "test": sound(file="other.csv") + shared})
    assert level == "warning" and places == ("train.csv:2", "train.csv:3")
    assert "2 rows of the train split have a text that also stands in the test split" in sentence
    assert "training leaves them out" in sentence
    dev = [*sound(file="dev.csv"), rows(("same", "a"), file="dev.csv")[0]]
    test = [*sound(file="test.csv"), rows(("same", "a"), file="test.csv")[0]]
    ((_, sentence, _),) = faults({"train": sound(), "validation": dev, "test": test})
    assert "validation split" in sentence and "remove them from one" in sentence


def test_a_pair_is_the_same_only_where_both_texts_are() -> None:
    schema = Schema(("text", "pair"), "label", "single", ("a", "b"))
    two = [Example("x", f"y{number}", "ab"[number % 2], "t.csv", number) for number in range(12)]
    assert faults({"train": two}, schema) == []
    again = Example("x", "y0", "a", "t.csv", 20)
    assert "repeats" in faults({"train": [*two, again]}, schema)[0][1]
    empty = Example("x", "", "a", "t.csv", 20)
    assert "empty text" in faults({"train": [*two, empty]}, schema)[0][1]


def test_labels_that_stand_only_in_test() -> None:
    schema = Schema(("text",), "label", "single", ("a", "b", "c"))
    test = [*sound(file="test.csv"), Example("new", None, "c", "test.csv", 30)]
    ((level, sentence, places),) = faults({"train": sound(), "test": test}, schema)
    assert level == "warning" and places == ("test.csv:30",)
    assert "The label 'c' stands in the test split and in no training row" in sentence


def test_an_unlabeled_test_split_is_only_a_note() -> None:
    test = [Example(f"t{number}", None, None, "test.csv", number) for number in range(3)]
    ((level, sentence, _),) = faults({"train": sound(), "test": test})
    assert level == "note" and "No row of the test split has a label" in sentence
    assert faults({"train": test})[0][0] == "error"
    partly = [*test, Example("t9", None, "a", "test.csv", 9)]
    assert faults({"train": sound(), "test": partly})[0][0] == "error"


def test_unknown_labels_name_the_nearest() -> None:
    schema = Schema(("text",), "label", "single", ("negative", "positive"))
    found = faults({"test": rows(("x", "positve"), ("y", "zzz"))}, schema)
    assert "did you mean 'positive'" in found[0][1]
    assert "the classes are negative, positive" in found[1][1]


def test_classes_with_too_few_rows_and_names_that_differ_in_case() -> None:
    schema = Schema(("text",), "label", "single", ("a", "b", "B"))
    found = faults({"train": [*sound(), *rows(("x", "B"), ("y", "B"))]}, schema)
    few = next(entry for entry in found if "fewer than 5" in entry[1])
    assert "1 class has fewer than 5 training rows, B: 2" in few[1] and len(few[2]) == 2
    assert any("'b' and 'B' differ only in case" in sentence for _, sentence, _ in found)


def test_one_class_alone_is_an_error_and_a_large_one_a_note() -> None:
    assert ("error", "Every training row has the label 'a'; add rows of another class.", ()) in faults(
        {"train": rows(*((f"t{number}", "a") for number in range(9)))}
    )
    uneven = rows(*((f"t{number}", "b" if number < 6 else "a") for number in range(60)))
    assert [(level, sentence) for level, sentence, _ in faults({"train": uneven})] == [
        (
            "note",
            "90 % of the training rows have the label 'a'; look at the F1 of each class, or ask for class weights.",
        )
    ]


def test_several_labels_a_row_are_counted_each() -> None:
    examples = rows(*((f"t{number}", ("a", "b") if number % 2 else ()) for number in range(12)))
    assert faults({"train": examples}, MULTI) == []
    odd = [*examples, Example("z", None, ("a", "c"), "t.csv", 99)]
    assert faults({"train": odd}, MULTI)[0][1].startswith("The train split has the unknown label 'c' (t.csv:99)")


def test_scores() -> None:
    assert faults({"train": rows(*((f"t{number}", number / 3) for number in range(9)))}, SCORES) == []
    assert faults({"train": rows(("x", 1.5), ("y", 1.5))}, SCORES)[0][0] == "error"


def test_data_without_a_label_column_is_an_error() -> None:
    assert faults({"all": sound()}, Schema(("text",), None, "single", ())) == [
        ("error", "No column holds the label; name it with --label.", ())
    ]


def test_how_many_texts_a_limit_cuts() -> None:
    counts = {"train": [5] * 95 + [11] * 4 + [40], "test": [10, 11, 12, 13]}
    splits = {"train": sound(100), "test": sound(4, file="test.csv")}
    found = check(splits, SCHEMA, counts, 10)
    assert [(entry.level, entry.sentence) for entry in found] == [
        (
            "warning",
            "3 texts of the test split (75.0 %) are cut to 10 tokens, the longest from 13 (test.csv:3, 4, 5); "
            "raise the limit if the ends of texts matter.",
        ),
        (
            "note",
            "5 texts of the train split (5.0 %) are cut to 10 tokens, the longest from 40 (train.csv:97, 98, 99, ...).",
        ),
    ]
    assert found[1].places == tuple(f"train.csv:{line}" for line in range(97, 102))
    with pytest.raises(ValueError):
        check(splits, SCHEMA, {"train": [5]}, 10)


def test_errors_come_first_and_sentences_show_three_places() -> None:
    added = [Example("", None, "a", "train.csv", 50 + number) for number in range(5)]
    found = check({"train": [*sound(), *added, Example("x", None, None, "more.csv", 3)]}, SCHEMA)
    assert [entry.level for entry in found] == ["error", "warning"]
    assert "(train.csv:50, 51, 52, ...)" in found[1].sentence and len(found[1].places) == 5
