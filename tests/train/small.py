"""Small data and small settings, so that a whole training takes a second."""

import csv
import random
from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {
    "embedding_width": 8,
    "width": 8,
    "epochs": 2,
    "batch_rows": 8,
    "dropout": 0.2,
    "embedding_dropout": 0.2,
    "word_dropout": 0.1,
    "learning_rate": 0.02,
    "patience": 9,
}
GOOD, BAD = ("good", "great", "fine", "lovely", "warm"), ("bad", "awful", "dull", "poor", "cold")
FILLER = ("the", "a", "film", "was", "it", "and", "so", "very", "movie", "plot")


def sentences(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Texts with exactly one telling word, and what it tells; no two alike."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        words = draw.choices(FILLER, k=draw.randint(2, 9))
        words.insert(draw.randrange(len(words)), draw.choice(GOOD if number % 2 else BAD))
        rows.append((" ".join([*words, f"no{number}"]), "pos" if number % 2 else "neg"))
    return rows


def write_csv(path: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...] = ("text", "label")) -> Path:
    """A CSV file of the rows."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def small_data(folder: Path, count: int = 80) -> Path:
    """data.csv with `count` rows."""
    return write_csv(folder / "data.csv", sentences(count))


def split_data(folder: Path, count: int = 60) -> Path:
    """A folder with train, validation and test files."""
    place = folder / "split"
    place.mkdir()
    rows = sentences(count + 40)
    for name, part in (("train", rows[:count]), ("validation", rows[count : count + 20]), ("test", rows[count + 20 :])):
        write_csv(place / f"{name}.csv", part)
    return place
