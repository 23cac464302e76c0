"""What goes over the wire: the bodies of requests and answers, and errors as one sentence."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from attnkit.serve.batcher import Answer
from attnkit.task.base import Prediction
from attnkit.train.shading import Shading


def _whole(text: str) -> str:
    """The text itself; ValueError where it holds half a character, which an escape in JSON can spell."""
    text.encode("utf-8")
    return text


Whole = Annotated[str, AfterValidator(_whole)]
Pair = Annotated[list[Whole], Field(min_length=2, max_length=2)]
OneText = Annotated[Whole | Pair, Field(description="One text, or a list of two where the model reads pairs.")]
Named = Annotated[str | None, Field(description="Name of a model, as GET /model lists them; the main one else.")]
Label = str | list[str] | float
_WHICH = Field(description="Name of the model that answered.")
_TEXT = "must be a string of whole characters, or a list of two for a pair"
_FIELDS = {
    "text": _TEXT,
    "texts": "must be a list of strings, or of pairs",
    "model": "must be the name of a model, as a string",
    "label": "must be a class, a list of classes, or a number",
}


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Ask(_Asked):
    """One text to answer."""

    text: OneText
    model: Named = None


class AskBatch(_Asked):
    """Several texts to answer."""

    texts: list[OneText] = Field(min_length=1, description="The texts, in the order of the answers.")
    model: Named = None


class Told(_Asked):
    """What the right answer to a text is."""

    text: OneText
    label: Label = Field(description="The right class, the right set of classes, or the right number.")
    prediction: Label | None = Field(None, description="What the model had said.")
    model: Named = None


class Predicted(BaseModel):
    """The prediction of one text."""

    label: Label = Field(description="The predicted class, the set of classes, or a number.")
    probability: float | None = Field(description="That of the predicted class; null for sets and numbers.")
    probabilities: dict[str, float] = Field(description="One entry a class; none for numbers.")
    cut: int = Field(description="Tokens beyond the model's limit, which were not read.")


class Answered(Predicted):
    """The prediction of one text, and which model made it."""

    model: str = _WHICH


class AnsweredBatch(BaseModel):
    """Predictions in the order of the texts."""

    model: str = _WHICH
    predictions: list[Predicted] = Field(description="One a text, each as POST /predict gives it.")


class Piece(BaseModel):
    """A piece of the text, and the weight the pooling gave it; null between tokens."""

    text: str
    weight: float | None


class Looked(Answered):
    """A prediction with where the model looked; joined, the pieces are the text wherever its tokens stand in it."""

    pieces: list[Piece] = Field(description="The text in pieces, each with its weight; null between tokens.")


class Trouble(BaseModel):
    """What was wrong and what to do, in one sentence."""

    error: str = Field(description="The sentence.")


class Health(BaseModel):
    """Whether the process lives, and whether it should be sent requests."""

    live: bool = Field(description="The thread that computes is there.")
    ready: bool = Field(description="Requests are welcome: it is not stopping, and its queue has room.")
    phase: str = Field(description="serving, draining or stopping.")


class Noted(BaseModel):
    """The feedback stands in the file."""

    noted: bool = Field(description="It stands in the file.")


def predicted(prediction: Prediction, cut: int) -> dict[str, Any]:
    """A prediction as an answer holds it."""
    return {**prediction.to_dict(), "label": plain_label(prediction.label), "cut": cut}


def plain_label(label: Any) -> Any:
    """A label as JSON has it."""
    return list(label) if isinstance(label, tuple) else label


def answered(model: str, one: Answer) -> dict[str, Any]:
    """The answer to one text."""
    return {"model": model, **predicted(one.prediction, one.cut)}


def looked(model: str, one: Shading) -> dict[str, Any]:
    """The answer to one text, with where the model looked."""
    pieces = [{"text": text, "weight": weight} for text, weight in one.pieces]
    return {"model": model, **predicted(one.prediction, one.cut), "pieces": pieces}


def sentence_of(errors: Sequence[Any]) -> str:
    """The first thing that is wrong with a request, in one sentence that quotes nothing of it."""
    first = errors[0]
    where = [part for part in first["loc"] if part not in ("body", "query")]
    if first["type"] == "json_invalid":
        return f"the body is not JSON ({first['ctx']['error'].lower()}, at character {first['loc'][-1]})"
    if not where:
        return "the body must be a JSON object, sent with the header Content-Type: application/json"
    name = str(where[0])
    if first["type"] == "missing":
        return f"the field {name!r} is missing; GET /docs shows what each request holds"
    if first["type"] == "extra_forbidden":
        return f"there is no field {name[:40]!r} here; GET /docs shows what each request holds"
    if name == "texts" and len(where) > 1 and isinstance(where[1], int):
        return f"text {where[1] + 1} {_TEXT}"
    if name == "texts" and first["type"] == "too_short":
        return "texts is empty; give at least one text"
    return f"{name} {_FIELDS.get(name, 'has a wrong value: ' + first['msg'].lower())}"
