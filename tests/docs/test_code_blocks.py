"""The Python blocks of the documents run, in the order of the page, in a folder of their own; the commands exist."""

import os
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import tracked

PAGES = [path for path in tracked() if path.suffix == ".md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GOOD = ("warm", "funny", "moving", "brilliant", "delightful")
BAD = ("dull", "tired", "clumsy", "empty", "tedious")
REST = ("film", "story", "cast", "plot", "music", "the", "a", "and", "with", "of")


def blocks(page: Path, language: str) -> list[str]:
    return [code for named, code in BLOCK.findall(page.read_text(encoding="utf-8")) if named == language]


def write_reviews(path: Path) -> None:
    """A file that any attention learns: the one telling word of a sentence is its label."""
    draw = random.Random(0)
    rows = ["text,label"]
    for row in range(120):
        words = draw.choices(REST, k=draw.randint(4, 9))
        words.insert(draw.randrange(len(words)), draw.choice(BAD if row % 2 else GOOD))
        rows.append(f"{' '.join(words)} {row},{'negative' if row % 2 else 'positive'}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    write_reviews(tmp_path / "reviews.csv")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks(page, "python"))],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def commands(page: Path) -> list[list[str]]:
    """The words of each `attn` line in the page's shell blocks."""
    lines = [line.strip() for code in blocks(page, "sh") for line in code.splitlines()]
    lines = [line.rpartition(" | ")[2].removeprefix(".venv/bin/") for line in lines]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("attn ")]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_commands_are_taken_as_they_stand(page: Path) -> None:
    from attnkit.cli.app import make_app
    from attnkit.cli.predict import predict
    from attnkit.train.predict_rows import check_sources

    for words in commands(page):
        verb, bound, _ = make_app().parse_args(words, print_error=False, exit_on_error=False)
        if verb is predict:
            bound.apply_defaults()
            given = bound.arguments
            check_sources(*(given[name] for name in ("texts", "file", "out", "where", "json")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def test_the_readme_is_among_the_pages() -> None:
    assert {"README", "tour", "choose", "CONTRIBUTING"} <= {page.stem for page in PAGES}
