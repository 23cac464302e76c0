"""Calls `attn` as a user does, in this process, and keeps what it printed and how it ended."""

import hashlib
import io
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from attnkit.cli.app import main

# A network small enough that training it costs less than reading this sentence.
SMALL = ["embedding_width=8", "width=8", "epochs=1", "batch_rows=32"]


@dataclass(frozen=True)
class Ended:
    """The exit code, and what was written on both streams."""

    code: int
    out: str
    err: str

    @property
    def fault(self) -> str:
        """The one sentence on stderr; anything else there, or an exit code that says success, is an assertion."""
        assert self.code in {1, 2}, f"exit code {self.code}; {self.out[-300:]}{self.err}"
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("attn: ") and lines[0].endswith((".", "?", "!")), lines
        assert "unforeseen" not in lines[0] and "Traceback" not in self.err, lines
        assert 20 < len(lines[0]) < 700, lines
        return lines[0]


def attn(*words: object, stdin: bytes = b"") -> Ended:
    """Run one command in this process."""
    with _streams(stdin) as (out, err):
        code = main([str(word) for word in words])
    return Ended(code, _written(out), _written(err))


def small_train(data: object, *words: object) -> Ended:
    """`attn train` with the smallest network, where the words do not say otherwise."""
    fields = [field for field in SMALL if f"--{field.partition('=')[0]}" not in words]
    return attn("train", data, *(piece for field in fields for piece in ("--set", field)), *words)


@contextmanager
def _streams(stdin: bytes) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    before = sys.stdin, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"), out, err
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8")  # type: ignore[attr-defined]


def listing(folder: Path) -> dict[str, str]:
    """Every file and folder below `folder`, with a hash of each file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def review_rows(count: int = 120, seed: int = 0) -> list[tuple[str, str]]:
    """Short texts of two classes that one word decides."""
    draw = random.Random(seed)
    words = {"good": ["fine", "warm", "lovely", "bright"], "bad": ["dull", "cold", "awful", "dark"]}
    rest = ["the", "film", "plot", "actor", "scene", "was", "very", "and", "of"]
    rows = []
    for number in range(count):
        label = "good" if number % 2 else "bad"
        text = draw.choices(rest, k=draw.randint(3, 8))
        text.insert(draw.randrange(len(text)), draw.choice(words[label]))
        rows.append((f"{' '.join(text)} {number}", label))
    return rows


def review_csv(count: int = 120, seed: int = 0) -> str:
    """Those rows as CSV with the columns text and label."""
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in review_rows(count, seed))
