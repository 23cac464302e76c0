"""Word vectors in the rows of known words; what is malformed is a sentence."""

import gzip
from pathlib import Path

import pytest
import torch
from torch import Tensor

from attnkit.data.tokens import fit
from attnkit.errors import UsageError
from attnkit.train import load, train
from attnkit.train.start.vectors import fill_vectors, vectors_width
from tests.train.small import SMALL, small_data

TEXTS = ["good film Film", "good plot one film", "it was one plot"]


def filled(path: Path, width: int = 3, lowercase: bool = True) -> tuple[Tensor, int, dict[str, int]]:
    tokenizer = fit("word", TEXTS, lowercase=lowercase, min_count=1)
    rows = torch.full((tokenizer.size, width), 9.0)
    found = fill_vectors(rows, tokenizer, path)
    return rows, found, {tokenizer.tokens([row])[0]: row for row in range(3, tokenizer.size)}


@pytest.mark.parametrize("header", ["", "4 3\n"], ids=["glove", "word2vec"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_known_words_get_their_rows_and_no_others_move(tmp_path: Path, header: str, packed: bool) -> None:
    text = header + "good 1 2 3\nunseen 4 5 6\nFilm 0.5 -1e-3 0\n. . . 7 7 7\n"
    path = tmp_path / ("v.txt.gz" if packed else "v.txt")
    (gzip.open if packed else open)(path, "wt", encoding="utf-8").write(text)
    assert vectors_width(path) == 3
    rows, found, place = filled(path)
    assert found == 2
    assert rows[place["good"]].tolist() == [1, 2, 3]
    assert rows[place["film"]].tolist() == [0.5, pytest.approx(-1e-3), 0]
    assert (rows[place["plot"]] == 9).all() and (rows[:3] == 9).all()


def test_the_word_as_it_stands_goes_before_other_cases_of_it(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("FILM 1 1 1\nFilm 2 2 2\nfilm 3 3 3\nfilm 4 4 4\n")
    rows, found, place = filled(path)
    assert found == 1 and rows[place["film"]].tolist() == [3, 3, 3]
    rows, found, place = filled(path, lowercase=False)
    assert found == 2 and rows[place["Film"]].tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no word vectors"),
        ("good 1 2 3\nfilm 1 2\n", r"v.txt:2 has not 3 numbers"),
        ("good 1 2 3\nfilm 1 x 3\n", r"v.txt:2 has not 3 numbers"),
        ("good 1 2 nan\n", r"v.txt:1 has not 3 numbers"),
        ("good 1 2\n", "has 2 numbers a word and model.embedding_width is 3"),
    ],
)
def test_malformed_vectors_are_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "v.txt"
    path.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        filled(path)


def test_binary_and_missing_vectors_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "v.bin").write_bytes(b"4 3\ngood \x00\x01\xff\xfe\n")
    with pytest.raises(UsageError, match="not text in UTF-8"):
        vectors_width(tmp_path / "v.bin")
    (tmp_path / "v.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(UsageError, match="cannot be read"):
        vectors_width(tmp_path / "v.gz")
    with pytest.raises(UsageError, match="no word vectors at"):
        vectors_width(tmp_path / "none")


def test_training_begins_with_vectors_and_says_how_many(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("good 1 2 3 4 5\nbad 5 4 3 2 1\nfilm 0 0 0 0 1\n")
    said: list[str] = []
    wanted = {name: value for name, value in SMALL.items() if name != "embedding_width"}
    run = train(
        small_data(tmp_path),
        out=tmp_path / "run",
        progress=lambda event: said.append(str(event.values.get("sentence"))),
        **{**wanted, "encoder": "none", "word_vectors": str(path), "freeze": ["embedding"]},
    )
    assert run.recipe.model.embedding_width == 5
    assert any("vectors.txt has vectors for 3 of" in sentence for sentence in said)
    model = load(run)
    row = model.preprocessing.tokenizer.encode_all(["bad"])[0][0]
    assert model.network.state_dict()["embedding.rows.weight"][row].tolist() == [5, 4, 3, 2, 1]


def test_vectors_of_another_language_or_width_leave_nothing_behind(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    path = tmp_path / "vectors.txt"
    path.write_text("gut 1 2\n")
    for more, sentence in (({}, "knows none of the"), ({"embedding_width": 8}, "has 2 numbers a word")):
        kept = {name: value for name, value in SMALL.items() if name != "embedding_width"}
        with pytest.raises(UsageError, match=sentence):
            train(data, out=tmp_path / "run", **{**kept, **more, "word_vectors": str(path)})
        assert not list(tmp_path.glob("run*"))
