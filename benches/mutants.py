"""How many random one-token changes of attention/ and task/ do the tests notice?

python benches/mutants.py --count 300 --seed 0 --out benches/results/<date>-mutants.md
"""

import argparse
import ast
import io
import random
import tokenize
from pathlib import Path

from mutation import ROOT, Change, Verdict, judge_all

SWAPS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "%": "//", "@": "*", "**": "*",
    "&": "|", "|": "&", "~": "", "and": "or", "or": "and", "not": "", "True": "False", "False": "True",
    "is": "is not", "min": "max", "max": "min", "sum": "mean", "mean": "sum", "any": "all", "all": "any",
    "log": "exp", "exp": "log", "zeros_like": "ones_like", "ones_like": "zeros_like", "clamp_min": "clamp_max",
    "query_position": "key_position", "key_position": "query_position", "i": "j", "j": "i",
}  # fmt: skip
# Quick judges alone, without their exports, so that a survivor costs half a minute: laws over the whole catalogue can
# only notice more, and judge the survivors with --deep.
TESTS = {
    "attention/laws/": ["laws/test_laws.py"],
    "attention/score/": ["formulas/test_scores.py", "formulas/test_catalogue_names.py"],
    "attention/normalizer/": ["formulas/test_normalizers.py"],
    "attention/pattern/": ["formulas/test_patterns.py", "formulas/test_catalogue_names.py"],
    "attention/position/": ["formulas/test_positions.py", "formulas/test_catalogue_names.py"],
    "attention/refine/": ["formulas/test_refine.py", "formulas/test_refine_promises.py"],
    "attention/factored/": ["formulas/test_factored.py"],
    "attention/combine.py": ["formulas/test_combine.py"],
    "attention/catalogue.py": ["formulas/test_catalogue_names.py", "formulas/test_plain.py"],
    "attention/plain.py": ["formulas/test_plain.py"],
    "attention/": ["formulas/test_scores.py", "formulas/test_patterns.py", "kernels", "layers", "laws/test_ours.py"],
    "task/": ["tasks"],
}
DEEP = ["formulas", "kernels", "layers", "laws"]
SKIP = {"describe.py"}


def code_lines(tree: ast.AST) -> set[int]:
    """Lines that run: in function bodies, without docstrings, raised messages and annotations of their own lines."""
    lines: set[int] = set()
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for statement in ast.walk(ast.Module(body=function.body, type_ignores=[])):
            if isinstance(statement, ast.stmt) and not isinstance(
                statement, ast.FunctionDef | ast.Import | ast.ImportFrom
            ):
                lines.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
        for node in ast.walk(function):
            is_doc = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if is_doc or isinstance(node, ast.Raise | ast.JoinedStr):
                lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def sites(path: Path) -> list[Change]:
    """Every one-token change of one file that still parses."""
    source = path.read_text()
    lines = code_lines(ast.parse(source))
    rows = source.splitlines(keepends=True)
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        new = replacement(token)
        if token.start[0] not in lines or new is None:
            continue
        row, start, end = token.start[0] - 1, token.start[1], token.end[1]
        changed = rows.copy()
        changed[row] = rows[row][:start] + new + rows[row][end:]
        text = "".join(changed)
        try:
            same = ast.dump(ast.parse(text)) == ast.dump(ast.parse(source))
        except SyntaxError:
            continue
        if not same:
            what = f"`{token.string}` -> `{new or 'nothing'}` in `{rows[row].strip()}` (line {row + 1})"
            found.append(Change(str(path.relative_to(ROOT)), text, what))
    return found


def replacement(token: tokenize.TokenInfo) -> str | None:
    """The other token, or None where this one is left alone."""
    if token.type == tokenize.NUMBER:
        try:
            return str(int(token.string, 0) + 1)
        except ValueError:
            return f"{float(token.string) * 2 + 1!r}"
    if token.type in (tokenize.OP, tokenize.NAME):
        return SWAPS.get(token.string)
    return None


def judges(file: str, deep: bool) -> list[str]:
    """The tests that watch over a file: those of the narrowest folder that holds it."""
    tests = next(tests for folder, tests in TESTS.items() if f"attnkit/{folder}" in file)
    return [f"tests/{name}" for name in (*tests, *(DEEP if deep else ()))]


def main() -> None:
    """Draw, judge, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--deep", action="store_true", help="let the laws over the whole catalogue judge too")
    parser.add_argument("--only", type=int, nargs="*", help="judge only these of the drawn, by number from 1")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pool: list[tuple[Change, list[str]]] = []
    for folder in ("attention", "task"):
        for path in sorted((ROOT / "src/attnkit" / folder).rglob("*.py")):
            if path.name not in SKIP:
                pool += [(change, judges(change.file, options.deep)) for change in sites(path)]
    drawn = random.Random(options.seed).sample(pool, min(options.count, len(pool)))
    if options.only:
        drawn = [drawn[number - 1] for number in options.only]
    verdicts = []
    for verdict in judge_all(drawn, options.workers):
        verdicts.append(verdict)
        print(
            f"{len(verdicts):4d} {verdict.seconds:5.0f} s  {verdict.red or 'SURVIVED'}  "
            f"{verdict.change.file}: {verdict.change.what}",
            flush=True,
        )
    text = table(verdicts, len(pool), options.seed)
    print(text)
    if options.out:
        options.out.write_text(text)


def table(verdicts: list[Verdict], possible: int, seed: int) -> str:
    """The share of changes noticed, and each survivor."""
    alive = [verdict for verdict in verdicts if verdict.red is None]
    killed = len(verdicts) - len(alive)
    lines = [
        f"# {len(verdicts)} random one-token mutants of attention/ and task/ (of {possible} possible, seed {seed})",
        "",
        f"Noticed: {killed} of {len(verdicts)} ({killed / max(len(verdicts), 1):.1%}).",
        "",
        "| survivor | change |",
        "|---|---|",
        *(f"| {verdict.change.file} | {verdict.change.what.replace('|', chr(92) + '|')} |" for verdict in alive),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
