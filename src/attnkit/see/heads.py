"""What every head of a model does, with the evidence, and what silencing it costs."""

import os
from collections.abc import Sequence
from typing import Any

from attnkit.capture.roles import role_table
from attnkit.errors import UsageError
from attnkit.see.explain.head_ablation import HeadEffect, rank_heads
from attnkit.see.explain.target import Subject
from attnkit.see.look import loaded, look
from attnkit.see.opening import open_looker
from attnkit.see.texts import chosen_texts


def heads_of(
    source: str | os.PathLike[str],
    texts: Sequence[str] = (),
    data: str | os.PathLike[str] | None = None,
    *,
    rows: int = 16,
    ablate: bool = False,
    allow_code: bool = False,
) -> tuple[list[dict[str, Any]], list[HeadEffect]]:
    """(rows of the table of roles, what silencing each head costs where `ablate`), over all texts together.

    Raises: UsageError where there is no model, no text, or no layer in which a text attends to itself.
    """
    if str(source).endswith(".attn"):
        if ablate or texts or data is not None:
            raise UsageError(f"{source} holds no model; leave --text, --data and --ablate out")
        return list(role_table(loaded(source))), []
    looker = open_looker(source, allow_code=allow_code)
    chosen = chosen_texts(texts, data, rows, looker.predictor)
    table = list(role_table(look(looker, chosen.texts)))
    if not ablate:
        return table, []
    if looker.predictor is None:
        raise UsageError(f"--ablate silences the heads of a run of attn; {source} is none, leave it out")
    subject = Subject.of_predictor(looker.predictor)
    return table, rank_heads(subject, subject.items(chosen.texts))
