"""Two models, or two captures, on the same texts: what changed in which head, beside what changes anyway."""

import os
from collections.abc import Sequence
from pathlib import Path

from attnkit.capture.captured import Capture
from attnkit.capture.diff import diff
from attnkit.capture.diff_result import CaptureDiff
from attnkit.errors import UsageError
from attnkit.see.look import loaded, look
from attnkit.see.looker import Looker
from attnkit.see.opening import open_looker
from attnkit.see.texts import Texts, chosen_texts


def compared(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    texts: Sequence[str] = (),
    data: str | os.PathLike[str] | None = None,
    *,
    null: Sequence[str | os.PathLike[str]] = (),
    rows: int = 8,
    allow_code: bool = False,
) -> tuple[CaptureDiff, Capture, Capture]:
    """(the diff, both captures); each side a run, a model folder or an .attn file, `null` what should count as none.

    Raises: UsageError where a side is neither, or the texts of the sides differ.
    """
    sides = [first, second, *null]
    files = [Path(one).suffix == ".attn" for one in sides]
    if all(files):
        if texts or data is not None:
            raise UsageError("files of captures hold their texts already; leave --text and --data out")
        captures = [loaded(one) for one in sides]
    elif any(files):
        raise UsageError("models are run on texts and .attn files are not; give models alone, or .attn files alone")
    else:
        captures = _run([open_looker(one, allow_code=allow_code) for one in sides], texts, data, rows)
    try:
        return diff(captures[0], captures[1], captures[2:] or None), captures[0], captures[1]
    except ValueError as error:
        raise UsageError(" ".join(str(error).split())) from None


def _run(
    lookers: Sequence[Looker], texts: Sequence[str], data: str | os.PathLike[str] | None, rows: int
) -> list[Capture]:
    chosen: Texts = chosen_texts(texts, data, rows, lookers[0].predictor)
    return [look(one, chosen.texts, level="full") for one in lookers]
