"""Word vectors in the text form of word2vec and GloVe: a word and its numbers on each line."""

import gzip
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from attnkit.data.tokens import SEPARATOR, TextTokenizer
from attnkit.errors import UsageError

_LONGEST_LINE = 1_000_000


def vectors_width(path: Path) -> int:
    """The numbers a word has in the file at `path`.

    Raises: UsageError where it cannot be read, or holds no vectors.
    """
    for _, _, numbers in _lines(path, None):
        return len(numbers)
    raise UsageError(f"{path} holds no word vectors; give a file with a word and its numbers on each line")


def fill_vectors(rows_VM: Tensor, tokenizer: TextTokenizer, path: Path) -> int:
    """Put the vectors of the words that `tokenizer` knows into their rows, and give the number of words found.

    A tokenizer that reads small letters alone takes the vector of the word as the file writes it first, small or not.

    Raises: UsageError where a line is malformed, or the vectors are of another width than the rows.
    """
    wanted = {tokenizer.tokens([row])[0]: row for row in range(SEPARATOR + 1, tokenizer.size)}
    width = rows_VM.shape[1]
    if vectors_width(path) != width:
        raise UsageError(
            f"{path} has {vectors_width(path)} numbers a word and model.embedding_width is {width}; leave that out, or "
            "give other vectors"
        )
    found: set[int] = set()
    exact: set[int] = set()
    for number, word, numbers in _lines(path, width):
        row = wanted.get(word)
        same = row is not None
        if row is None:
            row = wanted.get(word.lower())
        if row is None or row in exact or (row in found and not same):
            continue
        rows_VM[row] = torch.tensor(_numbers(numbers, path, number))
        found.add(row)
        if same:
            exact.add(row)
    return len(found)


def _lines(path: Path, width: int | None) -> Iterator[tuple[int, str, list[str]]]:
    """(line, word, numbers as they stand) of each line; the first line of word2vec, which counts, is passed over."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                pieces = line.rstrip().split(" ")
                if (number == 1 and len(pieces) == 2 and pieces[0].isdigit()) or not line.strip():
                    continue
                width = len(pieces) - 1 if width is None else width
                # A word may hold spaces itself, its numbers may not.
                word, numbers = " ".join(pieces[:-width]) if width else "", pieces[-width:]
                if not word or len(line) > _LONGEST_LINE:
                    raise UsageError(f"{path}:{number} has not {width} numbers behind a word, as the lines before it")
                yield number, word, numbers
    except FileNotFoundError:
        raise UsageError(f"there are no word vectors at {path}; check start.word_vectors") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text in UTF-8; convert word vectors to the text form of word2vec") from None
    except (OSError, EOFError) as error:
        raise UsageError(f"{path} cannot be read ({error}); check start.word_vectors") from None


def _numbers(given: list[str], path: Path, line: int) -> list[float]:
    try:
        numbers = [float(one) for one in given]
    except ValueError:
        numbers = [math.nan]
    if not all(math.isfinite(one) for one in numbers):
        raise UsageError(f"{path}:{line} has not {len(given)} numbers behind its word; give vectors in their text form")
    return numbers
