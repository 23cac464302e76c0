"""attn learn: small guarded updates from labeled feedback."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.learned import show_learned
from attnkit.cli.options import AllowCode, Json
from attnkit.cli.progress import Narrator
from attnkit.cli.terminal import show_json


def learn(
    run: Annotated[Path, Parameter(help="Run directory, which stays as it is.")],
    feedback: Annotated[
        Path | None, Parameter(help="What a service noted (--learn), or labeled data with the run's columns.")
    ] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Folder of the learner; RUN-learned where left out.")] = None,
    back: Annotated[int | None, Parameter(help="Go back to this point first; 0 is the run itself.")] = None,
    save: Annotated[Path | None, Parameter(help="Write the point that is reached as a run of this name.")] = None,
    update_rows: Annotated[int | None, Parameter(help="Rows of feedback an update; 16 where left out.")] = None,
    replay_rows: Annotated[int | None, Parameter(help="Rows from before beside them; 24 where left out.")] = None,
    steps: Annotated[int | None, Parameter(help="Steps an update; 4 where left out.")] = None,
    learning_rate: Annotated[float | None, Parameter(help="Of each step; 0.001 where left out.")] = None,
    max_loss: Annotated[float | None, Parameter(help="What the guard may lose, 0.02 (2 points) else.")] = None,
    everything: Annotated[bool | None, Parameter(help="Let the encoder learn too.")] = None,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Let a run learn from labeled feedback in small updates, each of which is kept as a point to go back to.

    Every row is predicted before it is learned from, by the learner and by the run as it was. An update that costs the
    run's validation rows more than --max-loss is undone. A file that has grown goes on where it was left.

    For example:

        attn learn runs/2026-11-22-reviews feedback.jsonl
        attn learn runs/2026-11-22-reviews --back 3 --save runs/reviews-3
        attn learn runs/2026-11-22-reviews feedback.jsonl --update-rows 4 --json
    """
    from attnkit.adapt.learn import learn as learn_from
    from attnkit.train.overrides import use_threads

    use_threads(threads)
    given = {
        "update_rows": update_rows, "replay_rows": replay_rows, "steps": steps, "learning_rate": learning_rate,
        "max_loss": max_loss, "everything": everything,
    }  # fmt: skip
    settings = {name: value for name, value in given.items() if value is not None}
    with Narrator(quiet=json) as say:
        found = learn_from(
            run, feedback, out=out, back=back, save=save, settings=settings, allow_code=allow_code, progress=say
        )
    if json:
        show_json(found.to_dict())
    else:
        show_learned(found)
