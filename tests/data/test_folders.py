"""Folders: split files, shards, split folders, class folders, saved datasets, and what is left out of them."""

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attnkit.data import infer_schema, read
from attnkit.errors import UsageError
from tests.data.files import ROWS, as_csv, as_json_lines, put, put_parquet


def sizes(tables) -> dict[str, int]:
    return {name: len(table.rows) for name, table in tables.items()}


@pytest.mark.parametrize("name", ["dev", "val", "valid", "validation", "Dev"])
def test_split_files_by_name_whatever_their_format(tmp_path: Path, name: str) -> None:
    put(tmp_path, {"train.csv": as_csv(ROWS), f"{name}.jsonl": as_json_lines(ROWS[:3]), "README.md": "about"})
    put_parquet(tmp_path / "test.parquet", ROWS[:2])
    tables = read(tmp_path)
    assert list(tables) == ["train", "validation", "test"]
    assert sizes(tables) == {"train": 6, "validation": 3, "test": 2}
    assert all(table.name == split for split, table in tables.items())


def test_a_file_whose_name_is_no_split_is_left_out_and_said(tmp_path: Path) -> None:
    put(tmp_path, {"train.csv": as_csv(ROWS), "oos_train.csv": as_csv(ROWS[:1])})
    tables = read(tmp_path)
    assert sizes(tables) == {"train": 6}
    assert any("oos_train.csv" in said and "left out" in said for said in infer_schema(tables).said)


def test_shards_are_one_split_in_order(tmp_path: Path) -> None:
    for number, part in enumerate((ROWS[:4], ROWS[4:])):
        put_parquet(tmp_path / "data" / f"train-{number:05d}-of-00002.parquet", part)
    put_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", ROWS[:1])
    tables = read(tmp_path)
    assert sizes(tables) == {"train": 6, "test": 1}
    assert [row.values["text"] for row in tables["train"].rows] == [row["text"] for row in ROWS]
    assert [row.line for row in tables["train"].rows] == [1, 2, 3, 4, 1, 2]


def test_a_folder_a_split(tmp_path: Path) -> None:
    files = {"train/a.csv": as_csv(ROWS), "train/b.csv": as_csv(ROWS), "test/test.csv": as_csv(ROWS[:2])}
    assert sizes(read(put(tmp_path, files))) == {"train": 12, "test": 2}


def test_class_folders_with_and_without_splits(tmp_path: Path) -> None:
    flat = put(tmp_path / "flat", {"pos/2.txt": "good", "pos/1.txt": "fine\n", "neg/1.txt": "bad", "notes.txt": "x"})
    rows = read(flat)["all"].rows
    assert [(Path(row.file).name, row.values) for row in rows] == [
        ("1.txt", {"text": "bad", "label": "neg"}),
        ("1.txt", {"text": "fine", "label": "pos"}),
        ("2.txt", {"text": "good", "label": "pos"}),
    ]
    files = {f"{split}/{label}/{n}.txt": f"{label} {n}" for split in ("train", "test") for label in "ab" for n in "12"}
    tables = read(put(tmp_path / "deep", {**files, "train/unsup/1.txt": "no label", "train/urls.txt": "x"}))
    assert sizes(tables) == {"train": 4, "test": 4}
    assert any("unsup" in said for said in infer_schema(tables).said)


def test_an_empty_text_file_is_an_empty_text(tmp_path: Path) -> None:
    rows = read(put(tmp_path, {"pos/1.txt": "good", "neg/1.txt": ""}))["all"].rows
    assert rows[0].values == {"text": "", "label": "neg"}


def test_unsplit_files_of_one_shape_are_one_table_and_said(tmp_path: Path) -> None:
    tables = read(put(tmp_path, {"books.csv": as_csv(ROWS), "films.jsonl": as_json_lines(ROWS)}))
    assert sizes(tables) == {"all": 12}
    assert any("read as one" in said for said in infer_schema(tables).said)


def saved(folder: Path, **splits: list[dict[str, object]]) -> Path:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    parts = {name: datasets.Dataset.from_list(rows, features=features) for name, rows in splits.items()}
    datasets.DatasetDict(parts).save_to_disk(folder)
    return folder


def test_a_saved_dataset_has_its_splits_and_class_names(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 0}, {"text": "b", "label": 1}, {"text": "c", "label": -1}]
    tables = read(saved(tmp_path / "set", train=rows, validation=rows[:2], test=rows[:1], unsupervised=rows[2:]))
    assert sizes(tables) == {"train": 3, "validation": 2, "test": 1}
    assert [row.values["label"] for row in tables["train"].rows] == ["bad", "good", None]
    assert any("unsupervised" in note for note in tables["train"].notes)


def test_class_names_survive_parquet_also_for_lists_of_classes(tmp_path: Path) -> None:
    kind = datasets.ClassLabel(names=["x", "y"])
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.List(kind)})
    rows = [{"text": "a", "label": [0, 1]}, {"text": "b", "label": []}]
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "a.parquet")
    assert [row.values["label"] for row in read(tmp_path / "a.parquet")["all"].rows] == [["x", "y"], []]


def test_class_numbers_without_a_name_stay_numbers(tmp_path: Path) -> None:
    names = {"info": {"features": {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}}}}
    table = pa.table({"text": ["a", "b", "c"], "label": [1, 2, None]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), tmp_path / "a.parquet")
    assert [row.values["label"] for row in read(tmp_path / "a.parquet")["all"].rows] == ["good", "2", None]


def test_a_saved_dataset_may_not_lead_outside_its_folder(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", train=[{"text": "a", "label": 0}])
    for part in ("../set/train", "..", "/etc", ""):
        put(folder, {"dataset_dict.json": f'{{"splits": ["{part}"]}}'})
        with pytest.raises(UsageError, match="outside the folder"):
            read(folder)
    put(folder, {"train/state.json": '{"_data_files": [{"filename": "../../x.arrow"}]}'})
    with pytest.raises(UsageError, match="outside the folder"):
        read(folder / "train")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "it is empty"),
        ({"notes.md": "x", "a.png": "y"}, r"holds no data that attnkit reads \(a.png, notes.md\)"),
        ({"train.csv": as_csv(ROWS), "train.tsv": as_csv(ROWS, "\t")}, "both claim to be the train split"),
        ({"dev.csv": as_csv(ROWS), "val.csv": as_csv(ROWS)}, "both claim to be the validation split"),
        ({"a.csv": as_csv(ROWS), "b.csv": "text,rating\nx,1\n"}, "b.csv has the columns text, rating and a.csv has"),
        ({"train/train.csv": as_csv(ROWS), "train/test.csv": as_csv(ROWS)}, "train is itself divided into train, test"),
        ({"train/note.md": "x"}, "holds no data"),
        ({"unsup/1.txt": "x"}, "no class folders"),
        ({"state.json": "[]"}, "state.json is not a JSON object"),
        ({"state.json": "{"}, "state.json is not valid JSON"),
        ({"state.json": "{}"}, "names no data files"),
        ({"dataset_dict.json": '{"splits": []}'}, "names no splits"),
        ({"dataset_dict.json": '{"splits": ["train"]}'}, "train/state.json cannot be read"),
    ],
)
def test_a_folder_that_is_no_data_says_why(tmp_path: Path, files: dict[str, bytes | str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as raised:
        read(put(tmp_path, files))
    assert str(raised.value).endswith(".") and "\n" not in str(raised.value)
