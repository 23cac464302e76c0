"""attn kernels: what the kernels cost on this machine, beside plain attention."""

from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.terminal import complain, say, show_json, show_table


def kernels(
    only: Annotated[tuple[str, ...], Parameter(help="Words: questions that hold one of them; all where none.")] = (),
    /,
    *,
    full: Annotated[bool, Parameter(help="At the full sizes, as long as it takes.", show_default=False)] = False,
    threads: Annotated[int, Parameter(help="Threads of torch.")] = 1,
    json: Json = False,
) -> int:
    """Measure every kernel beside plain attention on this machine: equality first, then time, turn about.

    A ratio is the median of process CPU times over pairs, with the half-width of its 95 % interval; promises are for
    the full sizes. Exit code 1 where a kernel errs, or with --full breaks its promise.

    For example:

        attn kernels
        attn kernels window dropout --full
    """
    import torch

    from attnkit.cli.progress import tracked
    from attnkit.kernels.measure.question import COLUMNS, answers
    from attnkit.kernels.measure.questions import asked

    torch.set_num_threads(threads)
    found = []
    for question in tracked(asked(only, full), "measuring"):
        found += answers(question, *((51, 600.0, None) if full else (9, 2.0, 1024)))
    if json:
        show_json([one.to_dict() for one in found])
    else:
        show_table(COLUMNS, [one.row() for one in found], right=("ratio", "promised"))
    faults = [one for one in found if one.kept is False]
    if faults:
        return complain(f"{len(faults)} of {len(found)} answers are wrong or break a promise; the table says which.")
    if not json and not full:
        say("", "Shortened: the promises are for the full sizes, which --full measures.")
    return 0
