"""attn compare: mechanisms, or a recipe without each ingredient, on the same rows, seeds and budget."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from attnkit.cli.comparisons import show_comparison
from attnkit.cli.options import AllowCode, Json
from attnkit.cli.progress import Narrator
from attnkit.cli.settings import NOTHING_SET, Settings
from attnkit.cli.terminal import show_json

Words = tuple[str, ...]


def compare(
    data: Annotated[Path | None, Parameter(help="File or folder of the data; the recipe may name it instead.")] = None,
    /,
    *,
    mechanisms: Annotated[
        Words, Parameter(help="Operators to compare (`attn list`), with commas between; the first is the reference.")
    ] = (),
    ablate: Annotated[
        Words, Parameter(help="Changes to the recipe, as field=value, with commas between; + joins several in one.")
    ] = (),
    seeds: Annotated[int, Parameter(help="Trainings of each, with seeds that follow train.seed.")] = 3,
    test: Annotated[
        bool, Parameter(help="Read the test rows too, once, when all is trained.", show_default=False)
    ] = False,
    settings: Settings = NOTHING_SET,
    time: Annotated[str | None, Parameter(help="Wall time of each training, such as 90s or 10m.")] = None,
    recipe: Annotated[Path | None, Parameter(help="Recipe to begin from (`attn init` writes one).")] = None,
    out: Annotated[Path | None, Parameter(help="Directory for it; runs/DATE-NAME-compare where left out.")] = None,
    resume: Annotated[bool, Parameter(help="Go on in --out where it stopped.", show_default=False)] = False,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Train each with the same seeds, rows and budget, and say which differ, which tie, and what they cost.

    Measured on the validation rows, unless --test. A mechanism goes into a transformer's layers, else into the pooling.

    For example:

        attn compare reviews.csv --mechanisms additive,dot,general,cosine
        attn compare reviews.csv --mechanisms vaswani,alibi,longformer --encoder transformer --seeds 5 --test
        attn compare reviews.csv --ablate "word_dropout=0,beside=[],encoder=none" --out ablation
        attn compare reviews.csv --mechanisms additive,dot,general,cosine --out compared --resume
    """
    from attnkit.compare import compare as run_comparison
    from attnkit.compare.arms import words_apart
    from attnkit.train.budget import minutes_of
    from attnkit.train.overrides import use_threads

    values = settings.values(recipe, minutes=minutes_of(time) if time is not None else None)
    use_threads(threads)
    named = {"mechanisms": words_apart(mechanisms), "ablate": words_apart(ablate), "seeds": seeds, "test": test}
    how: dict[str, Any] = {"recipe": recipe, "out": out, "resume": resume, "allow_code": allow_code, **named}
    with Narrator(quiet=json) as say:
        found = run_comparison(data, progress=say, **how, **values)
    show_json({"path": str(found.path), **found.record}) if json else show_comparison(found)
