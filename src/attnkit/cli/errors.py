"""attn errors: the worst mistakes of a run, with where it looked."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.comparisons import show_mistakes
from attnkit.cli.options import AllowCode, Force, Json
from attnkit.cli.terminal import say, show_json


def errors(
    run: Annotated[Path, Parameter(help="Run directory.")],
    data: Annotated[Path | None, Parameter(help="Labeled data; the run's own test rows where left out.")] = None,
    /,
    *,
    count: Annotated[int, Parameter(name=["-n", "--count"], help="How many mistakes, the worst first.")] = 20,
    out: Annotated[
        list[Path] | None, Parameter(help="File for them: .html, .jsonl, .json, .csv or .tsv; may be repeated.")
    ] = None,
    force: Force = False,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Show the rows that a run was surest of and wrong about, and what it mistakes for what most often.

    The worst are those of the highest wrong probability; of scores, those farthest off. Shaded words are where the
    pooling looked, which is no proof of what decided: `attn explain` tests that.

    For example:

        attn errors runs/2026-11-22-reviews
        attn errors runs/2026-11-22-reviews new_reviews.csv -n 50 --out mistakes.html --out mistakes.csv
        attn errors runs/2026-11-22-reviews --json
    """
    from attnkit.train.mistake_files import check_outs, write_mistakes
    from attnkit.train.mistakes import mistakes
    from attnkit.train.overrides import use_threads

    use_threads(threads)
    outs = check_outs(out or [], count, force)
    found = mistakes(run, data, count=count, allow_code=allow_code)
    for path in outs:
        write_mistakes(found, path)
    if json:
        show_json({**found.to_dict(), "out": [str(path) for path in outs]})
        return
    show_mistakes(found)
    say(*(f"written to {path}" for path in outs))
