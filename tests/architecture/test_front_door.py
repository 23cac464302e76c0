"""`import attnkit` is light, and the names it promises are the names it has."""

import ast
import json
import subprocess
import sys
from importlib import import_module

import pytest

import attnkit
from tests.architecture.source import SOURCE, modules, tree

TORCH_ONLY = ("attnkit.attention", "attnkit.kernels", "attnkit.layers", "attnkit.capture", "attnkit.errors")


def loaded(code: str) -> set[str]:
    """The top-level modules of a fresh process that has run `code`."""
    tell = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def torch_and_numpy() -> set[str]:
    return loaded("import torch, numpy") | sys.stdlib_module_names


def test_import_brings_torch_and_numpy_alone(torch_and_numpy: set[str]) -> None:
    assert loaded("import attnkit") - torch_and_numpy == {"attnkit"}


def test_attention_kernels_and_layers_need_torch_and_numpy_alone(torch_and_numpy: set[str]) -> None:
    names = [name for name, home in attnkit._HOME.items() if home.startswith(TORCH_ONLY)]
    assert "attend" in names
    assert loaded(f"from attnkit import {', '.join(names)}") - torch_and_numpy == {"attnkit"}


@pytest.mark.parametrize("name", attnkit.__all__)
def test_every_promised_name_is_there(name: str) -> None:
    assert getattr(attnkit, name) is not None
    assert name in dir(attnkit)


def test_promised_is_what_is_public() -> None:
    public = {name for name in attnkit._HOME if not name.startswith("_")}
    assert sorted(attnkit.__all__) == sorted({*public, "__version__"})


def test_type_checkers_see_the_same_names_from_the_same_homes() -> None:
    checked = {
        alias.name: node.module
        for block in ast.walk(tree(SOURCE / "__init__.py"))
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert checked == attnkit._HOME


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tain'"):
        attnkit.tain  # noqa: B018


@pytest.mark.parametrize("name", [name for name, path in modules().items() if "__all__" in path.read_text("utf-8")])
def test_every_list_of_names_is_true(name: str) -> None:
    module = import_module(name)
    promised = module.__all__
    assert len(set(promised)) == len(promised)
    assert [missing for missing in promised if not hasattr(module, missing)] == []


def test_a_verb_is_called_by_its_own_name_before_and_after_its_package_is_imported() -> None:
    code = (
        "import attnkit, inspect\n"
        "assert callable(attnkit.train), 'before'\n"
        "import attnkit.train\n"
        "assert callable(attnkit.train), 'after'\n"
        "assert 'data' in inspect.signature(attnkit.train).parameters\n"
    )
    loaded(code)
