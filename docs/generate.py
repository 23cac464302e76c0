"""Writes the pages that are read off the program: the recipe's fields, the commands, the catalogue.

Run it as `make docs`; the tests compare what it would write with what stands there.
"""

import inspect
import io
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from docs.augmentation_page import page as augmentation_page

HERE = Path(__file__).parent
SECTIONS_SAID = "A recipe is a TOML file; `attn init DATA` writes one with a reason for each choice it made."
CATALOGUE_SAID = (
    "The operators that have a name of their own. `attn list` prints them, one line each. Every one of them "
    "exports, as a torch program and [as ONNX](kernels.md#as-onnx)."
)
SEEN_SAID = (
    "What `attn see`, `attn heads` and `attn explain` tell ([how they are meant](see.md)). A is a map, p a row of it "
    "over its sum, t a query, s a key; rows that see nothing are 0 everywhere."
)
AUTO_SAID = '`"auto"` stands where the data decides; the recipe that a run stores holds what was decided.'


def recipe_page() -> str:
    """Every field of a recipe with its default and what it means."""
    from attnkit.run.recipe import Recipe, fields, toml_value

    lines = ["# Recipe", "", f"{SECTIONS_SAID} {AUTO_SAID} An unknown key is an error that names the nearest one."]
    defaults = Recipe().to_plain()
    for section, holder in Recipe.model_fields.items():
        lines += ["", f"## [{section}]", "", _sentence(holder.description)]
        for dotted, info in fields().items():
            if dotted.startswith(f"{section}."):
                value = toml_value(defaults[section][dotted.partition(".")[2]])
                lines += ["", f"### {dotted}", "", f"{_sentence(info.description)} Default: `{value}`."]
    return "\n".join(lines) + "\n"


def catalogue_page() -> str:
    """Every named operator: formula, source, cost and claims."""
    from attnkit.attention.catalogue import CATALOGUE
    from attnkit.attention.describe import describe

    lines = ["# Catalogue", "", CATALOGUE_SAID]
    for name, entry in CATALOGUE.items():
        about = f"{_sentence(entry.summary)} Source: {entry.source}. Learns in the tests: {entry.toy}."
        described = describe(entry.operator).strip("\n").splitlines()
        lines += ["", f"## {name}", "", about, "", "```text", *(line.rstrip() for line in described), "```"]
    return "\n".join(lines) + "\n"


def seen_page() -> str:
    """Every statistic of a map, every role of a head and every method of explaining."""
    from attnkit.capture.roles import ROLES
    from attnkit.capture.statistics import STATISTICS
    from attnkit.see.explain.texts import METHODS, RANDOM

    lines = ["# What is seen", "", f"{SEEN_SAID}", "", "## Statistics"]
    for name, one in STATISTICS.items():
        each = "query" if one.axis == "query" else "key"
        lines += ["", f"### {name}", "", f"{one.title}, in {one.unit}, a number a {each} and head: {one.doc}."]
    lines += ["", "## Roles"]
    for role in ROLES:
        lines += ["", f"### {role.name}", "", *_paragraphs(role), "", f"Named from a score of {role.threshold:g} on."]
    lines += ["", "## Methods"]
    for name in METHODS:
        module = "control" if name == RANDOM else name
        told = import_module(f"attnkit.see.explain.{module}").explain
        lines += ["", f"### {name}", "", *_paragraphs(told)]
    return "\n".join(lines) + "\n"


def _paragraphs(of: Any) -> list[str]:
    """A docstring without what is raised."""
    told = inspect.getdoc(of) or ""
    return [line.rstrip() for line in told.partition("Raises:")[0].rstrip().splitlines()]


def commands_page() -> str:
    """The help of `attn` and of each verb, as a terminal shows it."""
    from attnkit.cli.app import make_app

    app = make_app()
    lines = ["# Commands", "", "```text", _help(app, []), "```"]
    for verb in verbs():
        lines += ["", f"## attn {verb}", "", "```text", _help(app, [verb]), "```"]
    return "\n".join(lines) + "\n"


def verbs() -> list[str]:
    """The names of the commands, in the order of the help."""
    from attnkit.cli.app import VERBS

    return [verb.__name__.rstrip("_") for group in VERBS.values() for verb in group]


def _help(app: Any, words: list[str]) -> str:
    from rich.console import Console

    shown = io.StringIO()
    app.help_print(words, console=Console(file=shown, width=100, color_system=None, force_terminal=False))
    return "\n".join(line.rstrip() for line in shown.getvalue().strip("\n").splitlines())


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


PAGES: dict[str, Callable[[], str]] = {
    "recipe.md": recipe_page,
    "catalogue.md": catalogue_page,
    "commands.md": commands_page,
    "seen.md": seen_page,
    "augmentation.md": augmentation_page,
}


def main() -> int:
    """Write every page that has changed."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
