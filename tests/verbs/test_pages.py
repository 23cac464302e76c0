"""Each verb has its page, and each page speaks of a verb that is there and of the options it has."""

import re
from pathlib import Path

import pytest

from attnkit.cli.app import VERBS
from tests.verbs.calling import attn

PAGES = Path(__file__).parents[2] / "docs" / "verbs"
NAMES = [verb.__name__.rstrip("_") for group in VERBS.values() for verb in group]


def test_one_page_a_verb() -> None:
    assert sorted(page.stem for page in PAGES.glob("*.md")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_and_the_help_agree(name: str) -> None:
    page, shown = (PAGES / f"{name}.md").read_text(encoding="utf-8"), attn(name, "--help").out
    assert page.startswith(f"# attn {name}\n")
    examples = [line.strip() for line in shown.splitlines() if line.startswith("    attn ")]
    assert examples and "--json" in shown
    assert examples[0] in page
    here = re.sub(r"`attn (?!" + name + r"\b)[^`]*`", "", page)
    told = {
        option for line in here.splitlines() if f"attn {name}" in line or "`--" in line for option in _options(line)
    }
    assert all(option in shown for option in told), told


def _options(line: str) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][a-z-]*", line.partition("|")[0])
