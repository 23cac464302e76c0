"""Every name a user meets has a heading in docs/, and the generated pages are what the program would write today."""

import inspect
import re

import numpy as np
import pytest

from docs.generate import HERE, PAGES, verbs

HEADING = re.compile(r"^#{1,4} (.+)$", re.MULTILINE)


def headed(page: str) -> set[str]:
    """The names in a page's headings: each heading, and its parts where it names several."""
    found = HEADING.findall((HERE / page).read_text(encoding="utf-8"))
    return {name.strip().strip("`") for heading in found for name in [heading, *heading.split(",")]}


@pytest.mark.parametrize("page", PAGES)
def test_generated_pages_are_up_to_date(page: str) -> None:
    assert (HERE / page).read_text(encoding="utf-8") == PAGES[page](), "run `make docs`"


def test_every_verb_has_its_heading() -> None:
    assert {f"attn {verb}" for verb in verbs()} - headed("commands.md") == set()


def test_every_recipe_field_has_its_heading() -> None:
    from attnkit.run.recipe import fields

    assert len(fields()) > 20
    assert set(fields()) - headed("recipe.md") == set()


def test_every_kernel_has_its_heading() -> None:
    from attnkit.kernels.plan import KERNELS

    written = re.findall(r"^### (.+)$", (HERE / "kernels.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert written == [kernel.name for kernel in KERNELS], "in the order in which the plan tries them"


def test_every_catalogue_line_has_its_heading() -> None:
    from attnkit import CATALOGUE

    assert len(CATALOGUE) >= 40
    assert set(CATALOGUE) - headed("catalogue.md") == set()


def test_every_measure_has_its_heading() -> None:
    from attnkit.task.metrics import class_measures, label_set_measures, score_measures

    truth, chances = np.array([0, 1]), np.array([[0.8, 0.2], [0.3, 0.7]])
    measured = {
        **class_measures(truth, chances, ("a", "b"), resamples=10),
        **label_set_measures(chances > 0.5, chances, ("a", "b"), resamples=10),
        **score_measures(chances[0], chances[1], resamples=10),
    }
    assert {name.partition(":")[0] for name in measured} - headed("measures.md") == set()


def test_every_verb_shows_an_example_and_describes_each_option() -> None:
    from attnkit.cli.app import VERBS

    for verb in (verb for group in VERBS.values() for verb in group):
        name = verb.__name__.rstrip("_")
        page = PAGES["commands.md"]().split(f"## attn {name}\n")[1].split("\n## ")[0]
        assert f"attn {name}" in page, f"{name} shows no example"
        assert inspect.getdoc(verb), f"{name} says nothing"


def test_commands_in_the_documents_exist() -> None:
    from tests.architecture.source import ROOT, tracked

    known = set(verbs())
    for page in tracked():
        if page.suffix != ".md":
            continue
        for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for verb, rest in re.findall(r"^(?:\.venv/bin/)?attn (\w+)(.*)$", block, re.MULTILINE):
                assert verb in known, f"{page.relative_to(ROOT)}: attn {verb}"
                shown = PAGES["commands.md"]().split(f"## attn {verb}\n")[1].split("\n## ")[0]
                for option in re.findall(r"(?<!\S)--[a-z-]+", rest.split("#")[0]):
                    assert option in shown, f"{page.relative_to(ROOT)}: attn {verb} has no {option}"
