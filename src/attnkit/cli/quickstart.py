"""attn quickstart: the whole job on data that comes by itself."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.predictions import show_prediction
from attnkit.cli.progress import Narrator
from attnkit.cli.results import show_run
from attnkit.cli.terminal import say, show_json


def quickstart(
    *,
    out: Annotated[Path | None, Parameter(help="Directory of the run; runs/DATE-NAME where left out.")] = None,
    offline: Annotated[
        bool, Parameter(help="Ask no package index; digits where the cache is empty.", show_default=False)
    ] = False,
    epochs: Annotated[int | None, Parameter(help="Most passes over the training rows.")] = None,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    json: Json = False,
) -> None:
    """Train, measure, predict and see where it looked, in a few minutes, on data obtained once and kept.

    The data are movie sentences rated by people, through your own pip; handwritten digits where no index answers.

    For example:

        attn quickstart
        attn quickstart --offline --epochs 2
    """
    from attnkit.train.overrides import use_threads
    from attnkit.train.quickstart import quickstart as run_quickstart

    use_threads(threads)
    with Narrator(quiet=json) as narrator:
        done = run_quickstart(out, offline=offline, epochs=epochs, progress=narrator)
    if json:
        both = zip(done.data.examples, done.shadings, strict=True)
        predictions = [{"text": text, **one.prediction.to_dict(), "where": one.tokens} for text, one in both]
        figures = {"run": str(done.run.path), "data": str(done.data.path), "picture": str(done.picture)}
        show_json({**figures, "predictions": predictions, "test": done.run.metrics["test"]})
        return
    show_run(done.run)
    say("", "Two texts it has never seen, and where it looked:")
    for text, shaded in zip(done.data.examples, done.shadings, strict=True):
        show_prediction(text, shaded.prediction, shading=shaded)
    say("", f"The same as a picture: {done.picture}")
    say("Now with your own data: attn train your.csv (attn check your.csv says what is in it)")
