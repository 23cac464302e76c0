"""Checks of the labels: missing, unknown, only in test, too few rows, one class alone, names that differ in case."""

import difflib
from collections import defaultdict
from collections.abc import Iterator

from attnkit.data.examples import Example
from attnkit.data.finding import Finding, counted, finding, split_words
from attnkit.data.schema import Schema

FEW_ROWS = 5
LARGE_SHARE = 0.8
_SHOWN_CLASSES = 5

ByClass = dict[str, list[Example]]


def check_labels(splits: dict[str, list[Example]], schema: Schema) -> Iterator[Finding]:
    """Findings about the labels; the training split is "train", or "all" where the data is not split."""
    if schema.label is None:
        yield finding("error", "No column holds the label", advice="name it with --label")
        return
    for name, examples in splits.items():
        yield from _missing(name, examples)
    train = splits.get("train", splits.get("all", []))
    if schema.kind == "score":
        values = {example.label for example in train if example.label is not None}
        if train and len(values) == 1:
            yield finding(
                "error", f"Every training row has the same score ({values.pop():g})", advice="nothing can be learned"
            )
        return
    classes = {name: _by_class(examples) for name, examples in splits.items()}
    known = _by_class(train)
    for name, found in classes.items():
        yield from _unknown(name, found, schema)
        if known and splits[name] is not train:
            yield from _untrained(name, found, known, schema)
    yield from _sizes(known, len(train), schema)
    yield from _like_names(schema)


def _missing(name: str, examples: list[Example]) -> Iterator[Finding]:
    missing = [example for example in examples if example.label is None]
    if not missing:
        return
    if len(missing) == len(examples) and name == "test":
        yield finding("note", "No row of the test split has a label", advice="it can be predicted and not measured")
        return
    rows = counted(len(missing), "row", "rows")
    verb = "has" if len(missing) == 1 else "have"
    yield finding("error", f"{rows} of {split_words(name)} {verb} no label", missing, "fill or remove them")


def _unknown(name: str, found: ByClass, schema: Schema) -> Iterator[Finding]:
    for label in found:
        if label not in schema.classes:
            near = difflib.get_close_matches(label, schema.classes, n=1)
            advice = f"did you mean '{near[0]}'" if near else f"the classes are {_shown(list(schema.classes))}"
            yield finding(
                "error", f"{split_words(name).capitalize()} has the unknown label '{label}'", found[label], advice
            )


def _untrained(name: str, found: ByClass, known: ByClass, schema: Schema) -> Iterator[Finding]:
    for label in found:
        if label in schema.classes and label not in known:
            statement = f"The label '{label}' stands in {split_words(name)} and in no training row"
            yield finding("warning", statement, found[label], "no model can learn it from this data")


def _sizes(known: ByClass, rows: int, schema: Schema) -> Iterator[Finding]:
    if not rows or not known:
        return
    if len(known) == 1 and schema.kind == "single":
        only = next(iter(known))
        yield finding("error", f"Every training row has the label '{only}'", advice="add rows of another class")
        return
    few = {label: found for label, found in known.items() if len(found) < FEW_ROWS}
    if few:
        names = _shown([f"{label}: {len(found)}" for label, found in few.items()])
        places = [example for found in few.values() for example in found]
        classes = counted(len(few), "class has", "classes have")
        yield finding(
            "warning", f"{classes} fewer than {FEW_ROWS} training rows, {names}", places, "add rows or join classes"
        )
    largest = max(known, key=lambda label: len(known[label]))
    share = len(known[largest]) / rows
    if share >= LARGE_SHARE and schema.kind == "single":
        statement = f"{100 * share:.0f} % of the training rows have the label '{largest}'"
        yield finding("note", statement, advice="look at the F1 of each class, or ask for class weights")


def _like_names(schema: Schema) -> Iterator[Finding]:
    alike = defaultdict(list)
    for label in schema.classes:
        alike[" ".join(label.casefold().split())].append(label)
    for labels in alike.values():
        if len(labels) > 1:
            names = " and ".join(f"'{label}'" for label in labels)
            yield finding("warning", f"The labels {names} differ only in case or space", advice="give them one name")


def _by_class(examples: list[Example]) -> ByClass:
    found: ByClass = defaultdict(list)
    for example in examples:
        labels = example.label if isinstance(example.label, tuple) else (example.label,)
        for label in labels:
            if isinstance(label, str):
                found[label].append(example)
    return dict(found)


def _shown(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN_CLASSES]) + (", ..." if len(names) > _SHOWN_CLASSES else "")
