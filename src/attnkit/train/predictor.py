"""load(run): a trained model that predicts texts and shows where it looked."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from attnkit.data.encoding import Limits, Text, cut_tokens, encoded_checked
from attnkit.data.schema import Schema
from attnkit.errors import UsageError
from attnkit.layers import Seen, tapped
from attnkit.model.settings import ModelSettings
from attnkit.run.directory import Run
from attnkit.task.base import Prediction, Task
from attnkit.train.loop import predict_logits
from attnkit.train.preprocessing import Ids, Preprocessing
from attnkit.train.saved_model import SavedModel, load_model

__all__ = ["Looked", "Predictor", "Text", "load"]


@dataclass(frozen=True)
class Looked:
    """Where the pooling looked: one weight a token, and what was predicted; `cut` counts tokens beyond the limit."""

    tokens: list[str]
    weights: list[float]
    prediction: Prediction
    cut: int


class Predictor:
    """A trained model: `predict` texts, or ask for the `attention` on one.

    A text without a single token is answered with what the model says of nothing (its bias), and one beyond the length
    limit is read up to it, as in training.
    """

    def __init__(self, saved: SavedModel) -> None:
        self._saved = saved

    @property
    def network(self) -> torch.nn.Module:
        """The network, in evaluation mode; called with ids and keep, it gives logits."""
        return self._saved.network

    @property
    def preprocessing(self) -> Preprocessing:
        """What turns texts into ids."""
        return self._saved.preprocessing

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self._saved.task

    @property
    def settings(self) -> ModelSettings:
        """The [model] section it was built from."""
        return self._saved.settings

    @property
    def schema(self) -> Schema:
        """What the columns of its training data meant."""
        return self._saved.schema

    @property
    def paired(self) -> bool:
        """True where a text is a pair of texts."""
        return len(self._saved.schema.text) == 2

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes; none for scores."""
        return self.task.classes

    def predict(self, texts: Sequence[Text], batch_rows: int = 64) -> list[Prediction]:
        """Label and probabilities of each text (of each pair, where it was trained on pairs), in order.

        Raises: UsageError where `texts` is one bare string, or a text is not what the model was trained on.
        """
        return self.task.predict(self.logits(texts, batch_rows)) if len(texts) else []

    def logits(self, texts: Sequence[Text], batch_rows: int = 64) -> Tensor:
        """Logits (n, C) of the texts, float32."""
        return predict_logits(self.network, self.preprocessing, self.encode(texts), batch_rows)

    def attention(self, text: Text) -> Looked:
        """Tokens of one text, the weight the pooling gave each (mean over heads and queries), and the prediction.

        In a hierarchical model a word's weight is its sentence's weight times its weight in the sentence.
        """
        item = self.encode([text])[0]
        ids, keep = self.preprocessing.collate([item])
        with torch.inference_mode(), tapped(self.network) as seen:
            logits = self.network(ids, keep)
            weights = self._weights(seen, item)
        flat = [token for part in item for token in part] if self.preprocessing.hierarchical else item  # type: ignore[union-attr]
        tokens = self.preprocessing.tokenizer.tokens(flat)  # type: ignore[arg-type]
        return Looked(tokens, weights, self.task.predict(logits)[0], self.cut(text, len(flat)))

    def _weights(self, seen: list[Seen], item: Ids) -> list[float]:
        named = {one.name: one.matrix().mean((1, 2)) for one in seen if one.name.endswith("summary.pooling")}
        if not self.preprocessing.hierarchical:
            return [float(weight) for weight in named["summary.pooling"][0, : len(item)]]
        if not item:
            return []
        words, sentences = named["word_summary.pooling"], named["sentence_summary.pooling"][0]
        return [
            float(sentences[row] * words[row, column])
            for row, sentence in enumerate(item)
            for column in range(len(sentence))  # type: ignore[arg-type]
        ]

    def encode(self, texts: Sequence[Text]) -> list[Ids]:
        """Token ids of each text (or pair), cut to the model's limits.

        Raises: UsageError where `texts` is one bare string, or a text is not what the model was trained on.
        """
        prepare = self.preprocessing
        return encoded_checked(prepare.tokenizer, Limits(**prepare.limits()), texts, self.paired)

    def cut(self, text: Text, read: int) -> int:
        """How many tokens of a text lie beyond the limit, where `read` were read."""
        return cut_tokens(self.preprocessing.tokenizer, text, read)


def load(run: str | os.PathLike[str] | Run, *, allow_code: bool = False, task: str | None = None) -> Predictor:
    """The model of a run directory, ready to predict; nothing in the directory is executed.

    Where it learned several tasks, `task` names one of them; the main one where left out.

    Raises: UsageError where the directory is missing, unfinished or damaged.
    """
    opened = Run.open(run)
    folder = opened.path / "model"
    if not (folder / "model.json").is_file():
        state = "holds no model" if opened.complete else "is not finished and has saved no model yet"
        raise UsageError(f"{opened.path} {state}; `attn info {opened.path}` says what is there")
    return Predictor(load_model(Path(folder), allow_code=allow_code, task=task))
