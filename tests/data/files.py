"""Small sound files of every format, for the tests to read, break and flip."""

import gzip
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [
    {"label": "pos", "text": "a fine, warm film"},
    {"label": "neg", "text": 'dull "and" slow'},
    {"label": "pos", "text": "电影很好 \n two lines"},
    {"label": "neg", "text": "não é bom"},
    {"label": "pos", "text": "good; better | best"},
    {"label": "neg", "text": "bad\tworse"},
]


def as_csv(rows: list[dict[str, str]], sign: str = ",") -> bytes:
    """The rows with every text quoted."""
    lines = [sign.join(rows[0])]
    lines += [sign.join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in rows]
    return ("\n".join(lines) + "\n").encode()


def as_json_lines(rows: list[dict[str, object]]) -> bytes:
    """One object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def packed(content: bytes) -> bytes:
    """Gzip data without the time of day."""
    return gzip.compress(content, mtime=0)


def put(folder: Path, files: dict[str, bytes | str]) -> Path:
    """Write files (by path inside the folder) and give the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def put_parquet(path: Path, rows: list[dict[str, object]] = ROWS) -> Path:
    """A Parquet file of the rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def put_every_format(folder: Path) -> list[Path]:
    """A sound file or folder of each format, all with the same rows."""
    put(
        folder,
        {
            "data.csv": as_csv(ROWS),
            "data.tsv": as_csv(ROWS, "\t"),
            "data.jsonl": as_json_lines(ROWS),
            "data.json": json.dumps(ROWS, indent=1, ensure_ascii=False),
            "data.csv.gz": packed(as_csv(ROWS)),
            "data.jsonl.gz": packed(as_json_lines(ROWS)),
            **{f"classes/{row['label']}/{number}.txt": row["text"] for number, row in enumerate(ROWS)},
        },
    )
    put_parquet(folder / "data.parquet")
    datasets.Dataset.from_list(ROWS).save_to_disk(folder / "saved")
    names = ("csv", "tsv", "jsonl", "json", "csv.gz", "jsonl.gz", "parquet")
    return [*(folder / f"data.{name}" for name in names), folder / "classes", folder / "saved"]
