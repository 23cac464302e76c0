"""From a schema, or from a run directory's plain data, to the task."""

from collections.abc import Mapping

from attnkit.data.schema import Schema
from attnkit.errors import UsageError
from attnkit.task.base import Task
from attnkit.task.language import LanguageModeling
from attnkit.task.multi_label import MultiLabel
from attnkit.task.score import Score
from attnkit.task.single_label import SingleLabel

FIELDS = {"single": {"classes"}, "multi": {"classes"}, "score": {"mean", "deviation"}, "language": {"objective"}}


def task_for(schema: Schema) -> Task:
    """Give the task that a schema's kind of label asks for.

    A score task must still be `fitted` on the training examples, or its targets are not standardized.

    Raises: UsageError where the kind is unknown or there are too few classes.
    """
    if schema.kind == "single":
        return SingleLabel(schema.classes)
    if schema.kind == "multi":
        return MultiLabel(schema.classes)
    if schema.kind == "score":
        return Score()
    raise _unknown(schema.kind)


def task_from_dict(plain: Mapping[str, object]) -> Task:
    """Read what a task's `to_dict` gave.

    Raises: UsageError where the kind is unknown or a field is missing, unknown or of the wrong type.
    """
    kind = plain.get("kind")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise _unknown(kind)
    given = {name: value for name, value in plain.items() if name != "kind"}
    if set(given) != FIELDS[kind]:
        raise UsageError(f"A {kind!r} task has the fields {sorted(FIELDS[kind])} and got {sorted(given)}.")
    if kind == "language":
        return LanguageModeling(given["objective"])  # type: ignore[arg-type]
    if kind == "score":
        mean, deviation = given["mean"], given["deviation"]
        if not _number(mean) or not _number(deviation):
            raise UsageError(f"Mean and deviation of a score task are numbers, not {mean!r} and {deviation!r}.")
        return Score(float(mean), float(deviation))  # type: ignore[arg-type]
    classes = given["classes"]
    if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
        raise UsageError(f"The classes of a task are a list of names, not {classes!r}.")
    return SingleLabel(tuple(classes)) if kind == "single" else MultiLabel(tuple(classes))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unknown(kind: object) -> UsageError:
    return UsageError(f"There is no task of the kind {kind!r}; the kinds are {', '.join(FIELDS)}.")
