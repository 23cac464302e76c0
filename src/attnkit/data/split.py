"""Training, validation and test rows: seeded, stratified, recorded, and with no text on two sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from attnkit.data.examples import Example, to_examples
from attnkit.data.schema import Schema
from attnkit.data.strata import groups_in_strata
from attnkit.data.table import Table
from attnkit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Splits:
    """The examples of each split (empty where there is none); `notes` holds one sentence for each decision."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]
    notes: tuple[str, ...] = ()


def make_splits(
    tables: dict[str, Table],
    schema: Schema,
    validation: float = 0.1,
    test: float = 0.0,
    seed: int = 0,
    order: str = "",
) -> Splits:
    """The splits of the tables; a validation or test split that is not given is held out of the training rows.

    `validation` and `test` are the shares to hold out: stratified by label, rows of the same text together, drawn by
    `seed` and the texts alone; or, where the column `order` is named, the last rows of each label by it (test first).
    Training rows whose text stands in a given test or validation split are dropped, and `notes` says how many.
    Raises: UsageError for shares out of range, where no training rows remain, or where `order` names no full column.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise UsageError(
            f"The shares must be at least 0 and together below 1 and are validation={validation:g}, test={test:g}; "
            "give smaller shares."
        )
    source = "train" if "train" in tables else "all"
    examples = {name: to_examples(table, schema, order if name == source else "") for name, table in tables.items()}
    notes: list[str] = []
    train = examples.get(source, [])
    held = {name: examples.get(name, []) for name in ("validation", "test")}
    for name in ("test", "validation"):
        train = _without(train, held[name], name, notes)
    if not train:
        raise UsageError("There are no training rows; give a train split, or one file without splits.")
    shares = {
        "test": test if not held["test"] else 0.0,
        "validation": validation if not held["validation"] else 0.0,
    }
    whole = len(train)
    for name, share in shares.items():
        if share:
            train, held[name] = hold_out(train, round(share * whole), seed)
            notes.append(
                f"{len(held[name]):,} of {whole:,} rows are held out as the {name} split "
                f"(share {share:g}, "
                + (f"the last of each label by {order})." if order else f"by label, seed {seed}).")
            )
    return Splits(train, held["validation"], held["test"], tuple(notes))


def folds(examples: Sequence[Example], k: int, seed: int = 0) -> list[tuple[list[Example], list[Example]]]:
    """K pairs (training rows, held-out rows), stratified by label; each row is held out once, same texts together.

    Rows that have an order are held out in runs of it, the last first.
    Raises: UsageError where k is below 2 or above the number of different texts.
    """
    strata = groups_in_strata(examples, seed)
    groups = sum(len(stratum) for stratum in strata)
    if not 2 <= k <= groups:
        raise UsageError(f"The number of folds must be from 2 to {groups} (the different texts) and is {k}; change it.")
    fold_of = [0] * len(examples)
    ordered = any(example.order is not None for example in examples)
    turn = 0
    for stratum in strata:
        # A stratum too small for every fold is dealt out, so that no fold is empty.
        in_runs = ordered and len(stratum) >= k
        for place, group in enumerate(stratum):
            for row in group:
                fold_of[row] = k * place // len(stratum) if in_runs else turn % k
            turn += 1
    return [
        (
            [example for example, own in zip(examples, fold_of, strict=True) if own != fold],
            [example for example, own in zip(examples, fold_of, strict=True) if own == fold],
        )
        for fold in range(k)
    ]


def split_ids(splits: Splits) -> dict[str, list[str]]:
    """A stable id (16 hexadecimal digits of a hash of text, pair and label) for each row of each split, in order."""
    return {
        "train": [_id(example) for example in splits.train],
        "validation": [_id(example) for example in splits.validation],
        "test": [_id(example) for example in splits.test],
    }


def _id(example: Example) -> str:
    content = repr((example.text, example.pair, example.label)).encode("utf-8")
    return blake2b(content, digest_size=8).hexdigest()


def _without(train: list[Example], held: list[Example], name: str, notes: list[str]) -> list[Example]:
    contents = {example.content for example in held}
    kept = [example for example in train if example.content not in contents]
    dropped = len(train) - len(kept)
    if dropped:
        rows = "training row whose text stands" if dropped == 1 else "training rows whose texts stand"
        notes.append(f"{dropped:,} {rows} in the {name} split {'is' if dropped == 1 else 'are'} dropped.")
    return kept


def hold_out(examples: list[Example], wanted: int, seed: int) -> tuple[list[Example], list[Example]]:
    """(kept, held) with about `wanted` rows held out: same texts together, by label, never the last text of a label.

    Rows are drawn by `seed`; where they have an order, the last of each label are held out.
    """
    strata = groups_in_strata(examples, seed)
    total = len(examples)
    held: set[int] = set()
    due = 0.0
    for stratum in strata:
        # What one stratum rounds away the next makes up for, so that many small classes still give the whole share.
        due += wanted * sum(map(len, stratum)) / total
        for group in stratum[:-1]:
            if due < 0.5 * len(group):
                break
            held.update(group)
            due -= len(group)
    return (
        [example for row, example in enumerate(examples) if row not in held],
        [example for row, example in enumerate(examples) if row in held],
    )
