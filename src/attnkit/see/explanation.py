"""Why a model answered as it did on some texts: attributions, each method with its verdict, beside the capture."""

import os
from collections.abc import Sequence

from attnkit.capture.captured import Capture
from attnkit.errors import UsageError
from attnkit.see.explain.target import Subject
from attnkit.see.explain.texts import METHODS, Explanations, explain_texts
from attnkit.see.look import look
from attnkit.see.opening import open_looker
from attnkit.see.texts import chosen_texts


def explained(
    source: str | os.PathLike[str],
    texts: Sequence[str] = (),
    data: str | os.PathLike[str] | None = None,
    *,
    rows: int = 10,
    methods: Sequence[str] = (),
    seed: int = 0,
    allow_code: bool = False,
) -> tuple[Explanations, Capture]:
    """The explanations of the texts by the methods named (all where none), and the capture that holds them too.

    Raises: UsageError where there is no classifier, no text, or no such method.
    """
    looker = open_looker(source, allow_code=allow_code)
    chosen = chosen_texts(texts, data, rows, looker.predictor)
    if looker.predictor is not None:
        subject = Subject.of_predictor(looker.predictor)
    else:
        config = getattr(looker.model, "config", None)
        if not type(looker.model).__name__.endswith("ForSequenceClassification") or config is None:
            raise UsageError(f"{source} gives no label that could be explained; it is a {type(looker.model).__name__}")
        subject = Subject.of_hugging_face(looker.model, looker.tokenizer)
    found = explain_texts(subject, chosen.texts, tuple(methods) or tuple(METHODS), seed=seed)
    seen = look(looker, chosen.texts)
    seen.explanations = found.of_capture()
    return found, seen
