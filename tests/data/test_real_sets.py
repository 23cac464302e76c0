"""Real sets, read with no options: the schema, the sizes, the known overlaps."""

from pathlib import Path

import pytest

from attnkit.data import infer_schema, make_splits, read

ALL, TWO, THREE = ("all",), ("train", "test"), ("train", "validation", "test")
SETS = [
    ("sentence_polarity", THREE, 10_662, "label", "single", 2, 0),
    ("trec", TWO, 5_952, "label", "single", 6, 10),
    ("agnews", TWO, 17_601, "label", "single", 4, 11),
    ("banking77", TWO, 13_083, "label", "single", 77, 6),
    ("zh_shopping10", TWO, 62_723, "label", "single", 2, None),
    ("movie_reviews", ALL, 2_000, "label", "single", 2, 0),
    ("imdb", TWO, 50_000, "label", "single", 2, 123),
    ("vader_ratings", ALL, 23_703, "score", "score", 0, 0),
    ("clinc150", THREE, 22_500, "label", "single", 150, None),
    ("sst2", THREE, 70_042, "label", "single", 2, None),
    ("pros_cons", TWO, 45_867, "label", "single", 2, None),
]


@pytest.mark.parametrize(("name", "splits", "rows", "label", "kind", "classes", "overlap"), SETS)
def test_the_schema_of_a_real_set(
    data_folder: Path,
    name: str,
    splits: tuple[str, ...],
    rows: int,
    label: str,
    kind: str,
    classes: int,
    overlap: int | None,
) -> None:
    tables = read(data_folder / name)
    schema = infer_schema(tables)
    assert tuple(tables) == splits
    assert sum(len(table.rows) for table in tables.values()) == rows
    assert (schema.text, schema.label, schema.kind, len(schema.classes)) == (("text",), label, kind, classes)
    if overlap is not None:
        made = make_splits(tables, schema, validation=0.0)
        first = tables.get("train") or tables["all"]
        assert len(first.rows) - len(made.train) == overlap
