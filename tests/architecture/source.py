"""The source tree as the architecture tests read it: files, their modules, and what each one imports."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "attnkit"


@dataclass(frozen=True)
class Import:
    """One imported module or name, and the line where it stands."""

    target: str
    place: str


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> list[Import]:
    """Everything the file imports when it runs, inside functions too; not what only a type checker reads."""
    found = []
    for node in _running(tree(path)):
        place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            found += [Import(alias.name, place) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = _absolute(path, node)
            found += [Import(f"{home}.{alias.name}", place) for alias in node.names]
    return found


def _running(node: ast.AST) -> list[ast.AST]:
    found = [node]
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                found += _running(other)
        else:
            found += _running(child)
    return found


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = list(path.relative_to(SOURCE.parent).parts[:-1])
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def inside(target: str) -> str | None:
    """The module of this project that an imported name comes from: the longest prefix that is one; None for others."""
    while target:
        if target in modules():
            return target
        target = target.rpartition(".")[0]
    return None


@cache
def tracked() -> list[Path]:
    """What is in the repository; in a tree without git, every file that a release would hold."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [path for top in ("src", "tests", "docs", "recipes", "benches") for path in (ROOT / top).rglob("*")]
        paths += [path for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".txt"}]
    return [path for path in paths if path.is_file() and "__pycache__" not in path.parts]
