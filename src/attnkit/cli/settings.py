"""Options that are fields of a recipe, shared by every verb that trains."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

Maybe = str | None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """What of a recipe the command line gives; what is None stays as the recipe has it."""

    text: Annotated[Maybe, Parameter(help="Column of the texts; inferred and said where left out.")] = None
    pair: Annotated[Maybe, Parameter(help="Column of the second texts, where texts come in pairs.")] = None
    label: Annotated[Maybe, Parameter(help="Column of the labels; inferred and said where left out.")] = None
    kind: Annotated[
        Literal["single", "multi", "score"] | None, Parameter(help="Kind of label: one, several, a number.")
    ] = None
    attention: Annotated[
        Maybe, Parameter(help="Operator (`attn list`): in a transformer's layers, else as pooling.")
    ] = None
    encoder: Annotated[Maybe, Parameter(help="What reads the words: bilstm, cnn, transformer or none.")] = None
    preset: Annotated[
        Literal["tiny", "fast", "best"] | None,
        Parameter(help="Work that what is left open may cost: tiny, fast (where left out) or best."),
    ] = None
    from_: Annotated[
        Path | None,
        Parameter(name="--from", help="Run, or folder of a BERT checkpoint, to take weights and tokenizer from."),
    ] = None
    teacher: Annotated[
        tuple[Path, ...],
        Parameter(help="Run whose predictions are imitated; may be repeated.", show_default=False),
    ] = ()
    batch: Annotated[Maybe, Parameter(help="Texts that a step reads, or auto: as many as fit into memory.")] = None
    epochs: Annotated[int | None, Parameter(help="Most passes over the training rows.")] = None
    seed: Annotated[int | None, Parameter(help="Seed of weights, order and dropout.")] = None
    class_weights: Annotated[bool | None, Parameter(help="Let rare classes weigh as much as frequent ones.")] = None
    set_: Annotated[
        tuple[str, ...],
        Parameter(name="--set", help="Any recipe field, as field=value; may be repeated.", show_default=False),
    ] = ()

    def values(self, recipe: Path | None = None, **more: Any) -> dict[str, Any]:
        """Recipe fields by name, with `more` of them; `recipe` is the file they will be put on.

        Raises: UsageError where two of them contradict each other.
        """
        from attnkit.train.overrides import overrides

        given = asdict(self)
        start = given.pop("from_")
        given["start.start_from"] = None if start is None else str(start)
        given["distill.teacher"] = [str(path) for path in given.pop("teacher")] or None
        return overrides(given.pop("set_"), recipe=recipe, **given, **more)


NOTHING_SET = Settings()
