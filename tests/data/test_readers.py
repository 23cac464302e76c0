"""Every format gives the same rows, each with the line it begins on."""

import gzip
import json
from pathlib import Path

import pytest

from attnkit.data import infer_schema, read, to_examples
from attnkit.errors import UsageError
from tests.data.files import ROWS, as_csv, as_json_lines, packed, put, put_every_format


def only(folder: Path, name: str, content: bytes | str):
    return read(put(folder, {name: content}) / name)["all"]


def test_every_format_gives_the_same_texts_and_labels(tmp_path: Path) -> None:
    want = sorted((row["text"], row["label"]) for row in ROWS)
    for path in put_every_format(tmp_path):
        tables = read(path)
        assert list(tables) == ["all"], path
        examples = to_examples(tables["all"], infer_schema(tables))
        assert sorted((example.text, example.label) for example in examples) == want, path


def test_csv_lines_are_those_on_which_records_begin(tmp_path: Path) -> None:
    table = only(tmp_path, "a.csv", 'text,label\n\n"one\n\ntwo",a\r\nthree,b\n\n\n"four",a')
    assert [(row.line, row.values["text"]) for row in table.rows] == [(3, "one\n\ntwo"), (6, "three"), (9, "four")]
    assert table.rows[1].place == f"{tmp_path / 'a.csv'}:6"


def test_separators_inside_a_text_end_no_line(tmp_path: Path) -> None:
    odd = "form\x0cfeed \u2028 line \x85 next"
    assert only(tmp_path, "a.csv", f"text,label\n{odd},a\nx,b").rows[1].line == 3
    lines = as_json_lines([{"text": odd, "label": "a"}, {"text": "x", "label": "b"}])
    assert [row.values["text"] for row in only(tmp_path, "a.jsonl", lines).rows] == [odd, "x"]


def test_json_lines_keep_their_numbers_and_all_keys(tmp_path: Path) -> None:
    table = only(tmp_path, "a.jsonl", '\n{"a": 1}\r\n\n{"b": "x", "a": null}\n')
    assert table.columns == ("a", "b")
    assert [(row.line, row.values) for row in table.rows] == [(2, {"a": 1}), (4, {"b": "x", "a": None})]


def test_an_array_of_objects_gives_the_line_of_each(tmp_path: Path) -> None:
    table = only(tmp_path, "a.json", '[\n {"a": 1,\n  "b": 2},\n\n {"a": 3}]\n')
    assert [(row.line, row.values["a"]) for row in table.rows] == [(2, 1), (5, 3)]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "A.CSV.GZ"])
def test_gzip_members_follow_one_another(tmp_path: Path, name: str) -> None:
    content = as_csv(ROWS) if "csv" in name.lower() else as_json_lines(ROWS)
    half = len(content) // 2
    table = only(tmp_path, name, packed(content[:half]) + gzip.compress(content[half:]))
    assert [row.values["label"] for row in table.rows] == [row["label"] for row in ROWS]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    for name, content in {"a.csv": as_csv(ROWS), "a.jsonl": as_json_lines(ROWS)}.items():
        assert only(tmp_path, name, b"\xef\xbb\xbf" + content).columns == ("label", "text")


@pytest.mark.parametrize(("sign", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_csv_with_other_separators_is_read_and_said(tmp_path: Path, sign: str, word: str) -> None:
    table = only(tmp_path, "a.csv", as_csv(ROWS, sign))
    assert table.columns == ("label", "text")
    assert word in table.notes[0]


def test_stray_quotes_in_a_tsv_are_text(tmp_path: Path) -> None:
    table = only(tmp_path, "a.tsv", 'text\tlabel\n"so" he said\ta\n12" wide\tb\n"whole ""cell"""\ta\n"\tb\n')
    assert [row.values["text"] for row in table.rows] == ['"so" he said', '12" wide', 'whole "cell"', '"']


def test_quoted_tsv_cells_may_hold_tabs_and_line_breaks(tmp_path: Path) -> None:
    table = only(tmp_path, "a.tsv", 'text\tlabel\n"a\tb"\tx\n"c\nd"\ty\ne\tz\n')
    assert [(row.line, row.values["text"]) for row in table.rows] == [(2, "a\tb"), (3, "c\nd"), (5, "e")]


def test_an_unnamed_index_column_gets_a_name(tmp_path: Path) -> None:
    tables = {"all": only(tmp_path, "a.csv", ",text,label\n0,good film,a\n1,bad film,b\n2,so so,a\n")}
    assert tables["all"].columns == ("column 1", "text", "label")
    assert infer_schema(tables).label == "label"


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    long = "word " * 200_000
    assert only(tmp_path, "a.csv", f'text,label\n"{long}",a\n').rows[0].values["text"] == long


def test_the_field_limit_of_the_csv_module_is_left_as_it_was(tmp_path: Path) -> None:
    import csv

    before = csv.field_size_limit()
    only(tmp_path, "a.csv", as_csv(ROWS))
    with pytest.raises(UsageError):
        only(tmp_path, "b.csv", 'text,label\n"open,a\n')
    assert csv.field_size_limit() == before


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    put(tmp_path, {"reviews.csv": as_csv(ROWS)})
    with pytest.raises(UsageError, match=r"did you mean '.*reviews\.csv'"):
        read(tmp_path / "review.csv")
    for odd in ("nothing/here.csv", "x" * 5000, "a\0b"):
        with pytest.raises(UsageError, match="There is no file"):
            read(tmp_path / odd)


def test_json_numbers_and_lists_come_as_they_are(tmp_path: Path) -> None:
    row = {"text": "a", "label": ["x", "y"], "score": 0.5, "n": 3, "on": True, "none": None}
    assert only(tmp_path, "a.jsonl", json.dumps(row)).rows[0].values == row
