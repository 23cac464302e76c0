"""What augmentation does to data, for people to look at before anything is trained."""

import os
from dataclasses import dataclass

from attnkit.data.augment.augmenter import Augmenter
from attnkit.data.examples import to_examples
from attnkit.data.readers import read
from attnkit.data.schema import Schema, infer_schema
from attnkit.errors import UsageError


@dataclass(frozen=True)
class Shown:
    """A text before and after, and the place it came from."""

    place: str
    before: str
    after: str


def shown(
    path: str | os.PathLike[str],
    augmenter: Augmenter,
    *,
    rows: int = 10,
    seed: int = 0,
    text: str | None = None,
    pair: str | None = None,
) -> list[Shown]:
    """The first `rows` texts of the training split that the augmenter alters, as it alters them in a first pass.

    Raises: UsageError where the data cannot be read or understood, a share is not from 0 to 1, or nothing is asked for.
    """
    asked = {name: getattr(augmenter, name) for name in ("swap", "delete", "insert", "typos", "replace")}
    wrong = [name for name, share in asked.items() if not 0 <= share <= 1]
    if wrong:
        raise UsageError(f"--{wrong[0]} is a share of the words, from 0 to 1, and got {asked[wrong[0]]}")
    if not any(asked.values()):
        raise UsageError(f"nothing is to be done to the texts; give one of {', '.join(f'--{name}' for name in asked)}")
    if bool(augmenter.replace) != bool(augmenter.synonyms):
        raise UsageError("--replace needs --synonyms and the other way round; give both, or neither")
    if rows < 1:
        raise UsageError(f"--rows takes a number from 1 up, and got {rows}")
    tables = read(path)
    main = tables.get("train") or tables.get("all") or next(iter(tables.values()))
    schema = infer_schema(tables, text=text, pair=pair)
    found: list[Shown] = []
    for number, row in enumerate(to_examples(main, Schema(schema.text, None, schema.kind, schema.classes))):
        changed = augmenter.row(row.text, row.pair, seed, 0, number)
        if changed is not None:
            both = [("\t".join(one for one in texts if one is not None)) for texts in ((row.text, row.pair), changed)]
            found.append(Shown(row.place, *both))
        if len(found) == rows:
            break
    return found
