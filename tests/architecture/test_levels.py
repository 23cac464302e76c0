"""Imports follow the edges of the tree, never back, and never in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.architecture.source import imports, inside, module_name, modules, tree

# level -> the levels it stands on; what those stand on is implied
EDGES = {
    "attention": (),
    "kernels": ("attention",),
    "layers": ("kernels",),
    "capture": ("layers",),
    "page": ("capture",),
    "data": (),
    "bundle": ("data",),
    "task": ("data",),
    "model": ("layers",),
    "run": ("model", "task"),
    "train": ("run", "capture", "page"),
    "tune": ("train",),
    "compare": ("train",),
    "adapt": ("train",),
    "see": ("train",),
    "shrink": ("train",),
    "ship": ("train", "bundle"),
    "serve": ("train", "bundle"),
    "cli": ("tune", "compare", "adapt", "see", "shrink", "ship", "serve"),
    "__main__": ("cli",),
}
FOR_ALL = {"errors", "files"}
LIFTABLE = ("attention", "kernels", "layers", "capture")
STANDARD_AND_TORCH = {"torch", "numpy"}


def allowed(level: str) -> set[str]:
    below = {level}
    for next_level in EDGES[level]:
        below |= allowed(next_level)
    return below


def level_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def through_the_front_door(path: Path) -> set[str]:
    """The public names a file takes from `attnkit` itself, whichever level they come from."""
    taken = {found.target.partition(".")[2] for found in imports(path) if inside(found.target) == "attnkit"}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "attnkit":
            taken.add(node.attr)
    return taken - {""}


@pytest.mark.parametrize("level", EDGES)
def test_each_level_imports_only_what_it_stands_on(level: str) -> None:
    wrong = []
    for module, path in modules().items():
        if level_of(module) != level:
            continue
        for found in imports(path):
            target = inside(found.target)
            if target is None:
                continue
            if target == "attnkit":
                if level != "cli" and not through_the_front_door(path) <= {"__version__"}:
                    wrong.append(f"{found.place} imports {found.target} through the front door")
            elif level_of(target) not in allowed(level) | FOR_ALL:
                wrong.append(f"{found.place} ({level}) imports {target}")
    assert not wrong, "\n".join(wrong)


def test_every_file_stands_on_a_known_level() -> None:
    levels = {level_of(module) for module in modules()}
    assert levels <= EDGES.keys() | FOR_ALL | {""}
    assert {"attention", "data"} <= levels


def test_what_all_may_import_stands_on_the_standard_library_alone() -> None:
    import sys

    for name in FOR_ALL:
        for found in imports(modules()[f"attnkit.{name}"]):
            assert found.target.split(".")[0] in sys.stdlib_module_names, found


def test_the_levels_that_can_be_lifted_out_need_torch_and_numpy_alone() -> None:
    import sys

    known = sys.stdlib_module_names | STANDARD_AND_TORCH | {"attnkit"}
    wrong = [
        f"{found.place} imports {found.target}"
        for module, path in modules().items()
        if level_of(module) in LIFTABLE
        for found in imports(path)
        if found.target.split(".")[0] not in known
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_imports_itself_in_a_circle() -> None:
    graph = {
        module: {target for found in imports(path) if (target := inside(found.target)) and target != "attnkit"}
        for module, path in modules().items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_reader_of_imports_sees_what_it_must(tmp_path, monkeypatch) -> None:
    from tests.architecture import source

    package = tmp_path / "attnkit" / "score"
    package.mkdir(parents=True)
    file = package / "cosine.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nimport torch.nn as nn\nfrom . import base\nfrom ..part import Part\n"
        "if TYPE_CHECKING:\n    import unseen\n\n\ndef f():\n    from attnkit.train import loop\n"
    )
    monkeypatch.setattr(source, "SOURCE", tmp_path / "attnkit")
    monkeypatch.setattr(source, "ROOT", tmp_path)
    assert [found.target for found in imports(file)] == [
        "typing.TYPE_CHECKING",
        "torch.nn",
        "attnkit.score.base",
        "attnkit.part.Part",
        "attnkit.train.loop",
    ]
    assert module_name(file) == "attnkit.score.cosine"
