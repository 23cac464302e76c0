"""What the columns mean: inferred from names and content, said in sentences, and overruled by what is given."""

from pathlib import Path

import pytest

from attnkit.data import Row, Schema, Table, infer_schema, read, to_examples
from attnkit.data.schema import in_order
from attnkit.errors import UsageError
from tests.data.files import put


def table(name: str = "all", **columns: list[object]) -> Table:
    rows = [
        Row(dict(zip(columns, cells, strict=True)), f"{name}.csv", line)
        for line, cells in enumerate(zip(*columns.values(), strict=True), start=2)
    ]
    return Table(name, tuple(columns), rows)


def schema_of(**columns: list[object]) -> Schema:
    return infer_schema({"all": table(**columns)})


TEXTS = [f"a sentence about number {number} and more" for number in range(40)]
TWO = ["a", "b"] * 20
SCORES = [number / 7 for number in range(40)]


@pytest.mark.parametrize(
    ("columns", "text", "label"),
    [
        ({"label": TWO, "text": TEXTS}, "text", "label"),
        ({"domain": TWO, "label": TWO, "text": TEXTS}, "text", "label"),
        ({"Sentiment": TWO, "Review": TEXTS}, "Review", "Sentiment"),
        ({"v1": TWO, "v2": TEXTS}, "v2", "v1"),
        ({"review_id": TEXTS, "review_text": TEXTS, "stars": TWO}, "review_text", "stars"),
        ({"title": ["short"] * 40, "text": TEXTS, "class": TWO}, "text", "class"),
        ({"name": ["x"] * 40, "long": TEXTS, "kind": TWO}, "long", "kind"),
        ({"label": TWO, "score": SCORES, "text": TEXTS}, "text", "label"),
        ({"id": list(range(40)), "score": SCORES, "text": TEXTS}, "text", "score"),
        ({"user_id": [1, 2] * 20, "text": TEXTS, "is_spam": [True, False] * 20}, "text", "is_spam"),
        ({"文本": TEXTS, "标签": TWO}, "文本", "标签"),
        ({"text": TEXTS, "source": TWO, "toxicLabel": TWO}, "text", "toxicLabel"),
        ({"text": TEXTS, "topic": [*TEXTS[:20], *TEXTS[:20]]}, "text", "topic"),
        ({"text": TEXTS, "topic": TEXTS}, "text", None),
        ({"text": TEXTS}, "text", None),
        ({"text": TEXTS, "id": TWO}, "text", None),
        ({"text": TEXTS, "warmth": SCORES}, "text", "warmth"),
    ],
)
def test_text_and_label_columns(columns: dict[str, list[object]], text: str, label: str | None) -> None:
    schema = schema_of(**columns)
    assert (schema.text, schema.label) == ((text,), label)


def test_every_inference_is_a_sentence() -> None:
    said = schema_of(id=list(range(40)), extra=TEXTS, label=TWO, text=TEXTS).said
    assert said == (
        "The text is the column 'text' (by its name).",
        "The label is the column 'label' (by its name).",
        "The columns 'id' and 'extra' are not used.",
        "Each row has one of 2 classes (a, b): each cell is one name.",
    )
    assert "name it with --label" in schema_of(text=TEXTS).said[-1]


def test_a_column_of_one_split_is_said_and_not_used() -> None:
    tables = {"train": table("train", text=TEXTS, label=TWO), "test": table("test", text=TEXTS, label=TWO, title=TEXTS)}
    schema = infer_schema(tables)
    assert schema.text == ("text",)
    assert "The column 'title' is only in the test split and not used." in schema.said


@pytest.mark.parametrize(
    ("first", "second"),
    [("premise", "hypothesis"), ("sentence1", "sentence2"), ("Question1", "Question2"), ("text_a", "text_b"),
     ("question", "passage"), ("text", "pair")],
)  # fmt: skip
def test_pairs_by_name(first: str, second: str) -> None:
    schema = schema_of(**{"label": TWO, second: TEXTS, first: TEXTS})
    assert schema.text == (first, second)
    example = to_examples(table(**{"label": TWO, second: TEXTS[::-1], first: TEXTS}), schema)[0]
    assert (example.text, example.pair, example.label) == (TEXTS[0], TEXTS[-1], "a")


def test_names_alike_are_no_pair_unless_they_name_texts() -> None:
    assert schema_of(text=TEXTS, column1=TEXTS, column2=TEXTS, label=TWO).text == ("text",)
    assert schema_of(text1=TEXTS, text2=SCORES, label=TWO).text == ("text1",)


def test_what_is_given_wins() -> None:
    tables = {"all": table(label=TWO, score=SCORES, text=TEXTS, body=TEXTS)}
    assert infer_schema(tables, text="body", label="score").text == ("body",)
    assert infer_schema(tables, label="score").kind == "score"
    assert infer_schema(tables, text="body", pair="text").text == ("body", "text")
    assert infer_schema(tables, kind="multi").kind == "multi"
    single = infer_schema(tables, label="score", kind="single")
    assert single.kind == "single" and len(single.classes) == 40


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"text": "txt"}, "no column 'txt'; did you mean 'text'"),
        ({"label": "LABEL"}, "did you mean 'label'"),
        ({"pair": "zzz"}, r"no column 'zzz'; its columns are label, score, text"),
        ({"kind": "singel"}, "no kind of label 'singel'; did you mean 'single'"),
        ({"kind": "zzz"}, "use one of single, multi, score"),
        ({"text": "text", "label": "text"}, "'text' is given two roles"),
        ({"text": "text", "pair": "text"}, "'text' is given two roles"),
        ({"label": "label", "kind": "score"}, None),
    ],
)
def test_what_is_given_wrongly_names_the_nearest(given: dict[str, str], sentence: str | None) -> None:
    tables = {"all": table(label=TWO, score=SCORES, text=TEXTS)}
    if sentence is None:
        schema = infer_schema(tables, **given)
        with pytest.raises(UsageError, match=r"all\.csv:2 .*where a number is needed"):
            to_examples(tables["all"], schema)
        return
    with pytest.raises(UsageError, match=sentence):
        infer_schema(tables, **given)


def test_two_columns_that_could_be_the_label_are_asked_about() -> None:
    with pytest.raises(UsageError, match=r"'left', 'right'.*--label"):
        schema_of(left=TWO, right=TWO, text=TEXTS)


def test_a_table_without_texts_says_so() -> None:
    with pytest.raises(UsageError, match=r"all\.csv holds texts \(a, label\); name it with --text"):
        schema_of(a=list(range(40)), label=TWO)


@pytest.mark.parametrize(
    ("cells", "kind", "classes"),
    [
        ([0, 1] * 20, "single", ("0", "1")),
        (["0", "1"] * 20, "single", ("0", "1")),
        ([1.0, 2.0] * 20, "single", ("1", "2")),
        (["10", "9"] * 20, "single", ("9", "10")),
        ([True, False] * 20, "single", ("false", "true")),
        (["no", "yes "] * 20, "single", ("no", "yes")),
        (list(range(20)) * 2, "single", tuple(map(str, range(20)))),
        (list(range(40)), "score", ()),
        (["0.5", "1"] * 20, "score", ()),
        ([-1.5, 2] * 20, "score", ()),
        ([0, "one"] * 20, "single", ("0", "one")),
        ([["b", "a"], []] * 20, "multi", ("a", "b")),
        (['["b", "a"]', "[]"] * 20, "multi", ("a", "b")),
        (["a|b", "a"] * 20, "multi", ("a", "b")),
        (["a | b", ""] * 20, "multi", ("a", "b")),
        (["a,b", "a"] * 20, "single", ("a", "a,b")),
        (["[sic]", "a"] * 20, "single", ("[sic]", "a")),
    ],
)
def test_kinds_and_classes(cells: list[object], kind: str, classes: tuple[str, ...]) -> None:
    schema = schema_of(text=TEXTS, label=cells)
    assert (schema.kind, schema.classes) == (kind, classes)


def test_many_whole_numbers_are_classes_where_each_recurs() -> None:
    texts = [f"text number {number}" for number in range(400)]
    assert len(schema_of(text=texts, label=list(range(80)) * 5).classes) == 80
    assert schema_of(text=texts, label=list(range(100)) * 4).kind == "score"


@pytest.mark.parametrize(("cell", "sign"), [("a|b", "|"), ("a; b", ";"), ("a,b", ","), ("a|b;c", "|")])
def test_separators_of_given_multi_labels(cell: str, sign: str) -> None:
    tables = {"all": table(text=TEXTS, label=[cell, "a"] * 20)}
    schema = infer_schema(tables, kind="multi")
    assert schema.separator == sign
    want = tuple(sorted(part.strip() for part in cell.split(sign)))
    assert [example.label for example in to_examples(tables["all"], schema)][:2] == [want, ("a",)]


def test_missing_labels_are_none_and_no_class() -> None:
    cells = ["a", "b", "", None, float("nan"), "nan", " "]
    tables = {"all": table(text=TEXTS[:7], label=cells)}
    schema = infer_schema(tables)
    assert schema.classes == ("a", "b")
    assert [example.label for example in to_examples(tables["all"], schema)] == ["a", "b", *[None] * 5]


def test_empty_means_none_of_the_classes_only_where_cells_hold_several() -> None:
    tables = {"all": table(text=TEXTS[:4], label=["a|b", "", "a", None])}
    labels = [example.label for example in to_examples(tables["all"], infer_schema(tables))]
    assert labels == [("a", "b"), (), ("a",), None]


def test_a_hidden_test_label_is_no_class() -> None:
    tables = {
        "train": table("train", text=TEXTS, label=[0, 1] * 20),
        "test": table("test", text=TEXTS, label=[-1] * 40),
    }
    schema = infer_schema(tables)
    assert schema.classes == ("0", "1")
    assert {example.label for example in to_examples(tables["test"], schema)} == {None}
    assert schema_of(text=TEXTS, label=[-1, 1] * 20).classes == ("-1", "1")


def test_columns_that_a_split_lacks() -> None:
    train = table("train", text=TEXTS, label=TWO)
    schema = infer_schema({"train": train, "test": table("test", text=TEXTS)})
    assert any("predicted and not measured" in said for said in schema.said)
    assert to_examples(table("test", text=TEXTS), schema)[0].label is None
    with pytest.raises(UsageError, match=r"validation\.csv has no column 'label'"):
        infer_schema({"train": train, "validation": table("validation", text=TEXTS)})
    with pytest.raises(UsageError, match=r"test\.csv has no column 'text'"):
        infer_schema({"train": train, "test": table("test", body=TEXTS, label=TWO)})
    with pytest.raises(UsageError, match=r"other\.csv has no column 'text'"):
        to_examples(table("other", body=TEXTS), schema)


def test_the_classes_of_all_splits_are_classes() -> None:
    tables = {"train": table("train", text=TEXTS, label=TWO), "test": table("test", text=TEXTS, label=["c"] * 40)}
    assert infer_schema(tables).classes == ("a", "b", "c")


def test_texts_that_are_numbers_or_missing(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        {"a.jsonl": '{"text": "x", "label": 1}\n{"text": 3, "label": 0}\n{"text": null, "label": 1}\n{"label": 1}'},
    )
    tables = read(path / "a.jsonl")
    examples = to_examples(tables["all"], infer_schema(tables, text="text"))
    assert [example.text for example in examples] == ["x", "3", "", ""]


def test_a_schema_survives_its_record() -> None:
    schema = infer_schema({"all": table(text=TEXTS, label=["a|b", "a"] * 20)})
    assert Schema.from_dict(schema.to_dict()) == schema


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"text": []},
        {"text": "text"},
        {"text": ["a", "b", "c"]},
        {"classes": [1]},
        {"label": 3},
        {"more": 1},
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, object]) -> None:
    plain = {"text": ["text"], "label": "label", "kind": "single", "classes": ["a"]}
    assert Schema.from_dict(plain).said == ()
    with pytest.raises(UsageError):
        Schema.from_dict({**plain, **change})
    with pytest.raises(UsageError):
        Schema.from_dict({})


def test_classes_are_in_the_order_of_numbers_or_letters() -> None:
    assert in_order({"10", "9", "-1"}) == ("-1", "9", "10")
    assert in_order({"b", "10", "9"}) == ("10", "9", "b")
