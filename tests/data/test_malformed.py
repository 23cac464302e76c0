"""Files that are wrong: each is refused with one sentence that names the file, and the line where there is one."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attnkit.data import infer_schema, read, to_examples
from attnkit.errors import UsageError
from tests.data.files import ROWS, as_csv, as_json_lines, packed, put, put_parquet

GOOD_CSV, GOOD_JSON = as_csv(ROWS), as_json_lines(ROWS)
HEAD = "text,label\n"

MALFORMED = [
    ("a.csv", b"", "is empty"),
    ("a.csv", b" \n\n", "is empty"),
    ("a.csv.gz", b"", "is empty"),
    ("a.csv.gz", packed(b""), "is empty"),
    ("a.csv", b"\xef\xbb\xbf\n", ""),
    ("a.csv", HEAD, "holds a header .* and no rows"),
    ("a.csv", HEAD + "x,a,b\n", ":2 has 3 cells where the header names 2 columns"),
    ("a.csv", HEAD + "x,a\nlonely\n", ":3 has 1 cells"),
    ("a.csv", HEAD + '"two\nlines",a\nx,y,z\n', ":4 has 3 cells"),
    ("a.csv", HEAD + 'x,a\n"open,b\nz,a\n', ":3 opens a quote"),
    ("a.csv", HEAD + 'x,a\n"shut"more,b\n', ":3 has text behind a closing quote"),
    ("a.csv", HEAD + f'"{"x" * 10_000_001}",a\n', ":2 holds a cell of more than 10,000,000"),
    ("a.csv", "text,label,text\nx,a,y\n", ":1 names the column 'text' twice"),
    ("a.csv", "text,text \nx,y\n", ":1 names the column 'text' twice"),
    ("a.csv", ",\nx,y\n", ":1 should name the columns"),
    ("a.csv", "a fine film,1\na bad film,0\n", ":1 looks like data"),
    ("a.csv", "fine film,pos\nx,pos\ny,neg\nz,pos\n", r":1 looks like data \('pos'\)"),
    ("a.csv", f"{'long ' * 30},pos\nx,neg\n", ":1 looks like data"),
    ("a.csv", HEAD + "x,a\n" + HEAD + "y,b\n", ":3 repeats the header of line 1"),
    ("a.csv", b"text,label\nx,a\n\x00y,b\n", ":3 holds a NUL byte"),
    ("a.csv", "text,label\nx,é\n".encode("latin-1"), ":2 is not UTF-8 .*WINDOWS-1252"),
    ("a.csv", "text,label\n这部电影很好看,好\n".encode("gb18030"), ":2 is not UTF-8 .*GB18030"),
    ("a.csv", "text,label\nété à Paris\xff,a\n".encode().replace(b"\xc3\xbf", b"\xff"), ":2 .*mend the line"),
    ("a.csv", b"\xef\xbb\xbftext,label\nx,\xff\n", r":2 is not UTF-8 \(byte 0xff\)"),
    ("a.csv", "text,label\nx,a\n".encode("utf-16"), "is UTF-16"),
    ("a.csv", packed(GOOD_CSV), "is gzip data; give it a name that ends in .gz"),
    ("a.csv.gz", GOOD_CSV, "is not gzip data"),
    ("a.jsonl.gz", packed(GOOD_JSON)[:-12], "ends too early"),
    ("a.jsonl.gz", packed(GOOD_JSON)[:60], "ends too early"),
    ("a.jsonl.gz", packed(GOOD_JSON)[:-8] + b"\0" * 8, "is damaged"),
    ("a.jsonl.gz", packed(GOOD_JSON) + b"trailing", "is damaged"),
    ("a.csv", b"PK\x03\x04rest", "is a zip or Excel file"),
    ("a.csv", b"%PDF-1.4", "is a PDF"),
    ("a.csv", bytes(range(256)), ":1 holds a NUL byte"),
    ("a.tsv", "text\tlabel\nx\ta\ny\n", ":3 has 1 cells"),
    ("a.tsv", 'text\tlabel\n"x\ta\ny\tb\tc\n', ":3 has 3 cells"),
    ("a.jsonl", '{"text": "x"}\n{"text": \n', ":2 is not JSON"),
    ("a.jsonl", '{"text": "x"}\n{"text": "y', ":2 is not JSON .*Unterminated string starting at character 10"),
    ("a.jsonl", "{'text': 'x'}\n", ":1 is not JSON .*double quotes"),
    ("a.jsonl", '{"text": "x"} {"text": "y"}\n', ":1 is not JSON .*Extra data"),
    ("a.jsonl", '{"text": "x"}\n["x", "y"]\n', ":2 is a JSON array where an object is needed"),
    ("a.jsonl", '"x"\n', ":1 is a JSON string"),
    ("a.jsonl", "3\n", ":1 is a JSON number"),
    ("a.jsonl", "null\n", ":1 is a JSON null"),
    ("a.jsonl", '{"text": "x", "text": "y"}\n', ":1 is not JSON .*'text' stands in it twice"),
    ("a.jsonl", '{"a": ' + "[" * 100_000 + "\n", ":1 is not JSON .*nested too deeply"),
    ("a.jsonl", '{"a": ' + "9" * 5000 + "}\n", ":1 is not JSON .*too long"),
    ("a.jsonl", '{"text": "\\ud83d"}\n', ":1 holds half a character"),
    ("a.jsonl", "{}\n{}\n", "holds only empty objects"),
    ("a.jsonl", GOOD_CSV, ":1 is not JSON"),
    ("a.json", "[]", "holds no rows"),
    ("a.json", '[\n{"a": 1},\n{"a": }]', ":3 is not JSON"),
    ("a.json", '[{"a": 1}\n{"a": 2}]', "neither a comma nor the end"),
    ("a.json", '[{"a": 1}', "neither a comma nor the end"),
    ("a.json", '[{"a": 1}] more', "more text behind the end"),
    ("a.json", '[\n{"a": 1}, 7]', ":2 is a JSON number"),
    ("a.parquet", b"", "is empty"),
    ("a.parquet", GOOD_CSV, "is not a sound Parquet file"),
    ("a.parquet", packed(GOOD_CSV), "is gzip data"),
    ("a.arrow", GOOD_CSV, "is not a sound Arrow file"),
    ("a.arrow", b"ARROW1", "is not a sound Arrow file"),
    ("a.xlsx", b"PK\x03\x04rest", "no ending that says its format"),
    ("notes", b"text", "no ending that says its format"),
]


def sentence_of(path: Path) -> str:
    with pytest.raises(UsageError) as raised:
        read(path)
    sentence = str(raised.value)
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 400
    assert path.name in sentence
    return sentence


@pytest.mark.parametrize(("name", "content", "pattern"), MALFORMED)
def test_a_wrong_file_gives_one_sentence(tmp_path: Path, name: str, content: bytes | str, pattern: str) -> None:
    import re

    path = put(tmp_path, {name: content}) / name
    assert re.search(re.escape(str(path)) + ".*" + pattern, sentence_of(path))


def test_a_truncated_gzip_file_names_the_line_it_reaches(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"{number * 7919 % 100_003} words", "label": number % 2}) for number in range(200_000)]
    whole = gzip.compress("\n".join(lines).encode(), 1)
    put(tmp_path, {"a.jsonl.gz": whole[: len(whole) * 9 // 10]})
    line = int(sentence_of(tmp_path / "a.jsonl.gz").split(".jsonl.gz:")[1].split()[0])
    assert 100_000 < line < 190_000


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    whole = put_parquet(tmp_path / "a.parquet").read_bytes()
    for cut in (1, 7, len(whole) // 2, len(whole) - 1):
        put(tmp_path, {"a.parquet": whole[:cut]})
        assert "is not a sound Parquet file" in sentence_of(tmp_path / "a.parquet")


def test_odd_parquet_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    assert "holds no rows" in sentence_of(path)
    pq.write_table(pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], ["text", "text"]), path)
    assert "names the column 'text' twice" in sentence_of(path)


def test_a_text_named_as_parquet_or_parquet_named_as_text(tmp_path: Path) -> None:
    content = put_parquet(tmp_path / "a.parquet").read_bytes()
    put(tmp_path, {"b.csv": content})
    assert "is a Parquet file; give it a name that ends in .parquet" in sentence_of(tmp_path / "b.csv")


def test_a_folder_in_place_of_a_file_and_a_socket(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "a.csv")
    assert "neither a file nor a folder" in sentence_of(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"text": "x", "label": 0.5}, {"text": "y", "label": "warm"}], None),
        (
            [{"text": "x", "label": "a"}, {"text": ["y"], "label": "b"}, {"text": "z", "label": "a"}],
            ":2 .*holds a list",
        ),
        (
            [{"text": "x", "label": "a"}, {"text": {"y": 1}, "label": "b"}, {"text": "z"}],
            ":2 .*holds an object",
        ),
        ([{"text": "x", "label": {"a": 1}}, {"text": "y", "label": "b"}], ":1 .*one label is needed"),
        ([{"text": "x", "label": ["a"]}, {"text": "y", "label": [["b"]]}], ":2 .*not a list of labels"),
        ([{"text": "x", "label": ["a"]}, {"text": "y", "label": {"b": 1}}], ":2 .*where a list is needed"),
        ([{"text": "x", "label": ["a", None]}], ":1 .*not a list of labels"),
    ],
)
def test_cells_of_a_wrong_type_name_their_line(
    tmp_path: Path, rows: list[dict[str, object]], sentence: str | None
) -> None:
    tables = read(put(tmp_path, {"a.jsonl": as_json_lines(rows)}) / "a.jsonl")
    if sentence is None:
        assert [example.label for example in to_examples(tables["all"], infer_schema(tables))] == ["0.5", "warm"]
        return
    with pytest.raises(UsageError, match=sentence):
        to_examples(tables["all"], infer_schema(tables))


def test_scores_that_are_no_numbers_name_their_line(tmp_path: Path) -> None:
    for bad in ("warm", "inf", "1e999", "0x10", "1_0", "٣"):
        put(tmp_path, {"train.csv": "text,score\nx,0.5\ny,1.5\n", "test.csv": f"text,score\nx,0.5\ny,{bad}\n"})
        tables = read(tmp_path)
        schema = infer_schema(tables)
        assert schema.kind == "score"
        with pytest.raises(UsageError, match=r"test\.csv:3 .*where a number is needed"):
            to_examples(tables["test"], schema)
