"""What every file of the project keeps to: short, quiet, and silent about the machine it was written on."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, modules, tracked, tree

LONGEST_FILE = 400
LONGEST_RECIPE = 30
LONGEST_VERB = 70
# Written in pieces, so that this file does not hold what it looks for.
MACHINE_PATHS = ["/" + name + "/" for name in ("work", "home", "root", "Users", "opt")]
REGISTRIES = ["pypi" + ".org", "python" + "hosted", "npmjs" + ".org", "deb.debian" + ".org", "download.py" + "torch"]
UNFINISHED = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]


def lines(path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("suffix", "top", "longest"),
    [(".py", "", LONGEST_FILE), (".toml", "recipes/", LONGEST_RECIPE)],
    ids=["code", "recipes"],
)
def test_files_are_short(suffix: str, top: str, longest: int) -> None:
    long = {
        name: length
        for path in tracked()
        if path.suffix == suffix and (name := path.relative_to(ROOT).as_posix()).startswith(top)
        if (length := len(lines(path))) > longest
    }
    assert not long


def test_verbs_are_short() -> None:
    from attnkit.cli.app import VERBS

    files = {Path(inspect.getfile(verb)) for group in VERBS.values() for verb in group}
    assert len(files) == sum(map(len, VERBS.values())), "one file a verb"
    assert {path.name: len(lines(path)) for path in files if len(lines(path)) > LONGEST_VERB} == {}


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for module, path in modules().items()
        if not module.startswith("attnkit.cli") and module != "attnkit.bundle.main"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing


def test_nothing_names_the_machine_it_was_written_on_or_a_registry() -> None:
    told = re.compile("|".join(re.escape(words) for words in MACHINE_PATHS + REGISTRIES))
    found = []
    for path in tracked():
        try:
            text = lines(path)
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{n}: {line.strip()}" for n, line in enumerate(text, 1) if told.search(line)
        ]
    assert not found, "\n".join(found)


def test_nothing_is_left_unfinished() -> None:
    told = re.compile(rf"\b({'|'.join(UNFINISHED)})\b")
    found = [
        f"{path.relative_to(ROOT)}:{n}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".toml"}
        for n, line in enumerate(lines(path), 1)
        if told.search(line)
    ]
    assert not found


def test_every_module_says_in_one_docstring_what_it_is() -> None:
    silent = [
        module
        for module, path in modules().items()
        if not ast.get_docstring(tree(path)) and path.read_text(encoding="utf-8").strip()
    ]
    assert not silent
