"""open_artefact(path): a shipped model, ready to predict; no torch, and nothing in it is executed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.bundle.batches import batches_of, collated
from attnkit.bundle.contents import CONTRACT, TOKENIZER, Contents
from attnkit.bundle.contract import Contract
from attnkit.bundle.predictions import predictions
from attnkit.bundle.processor import check_processor
from attnkit.bundle.session import OnnxSession, Session
from attnkit.data.encoding import Ids, Limits, Text, cut_tokens, encoded_checked
from attnkit.data.tokens.tokenizer import TextTokenizer
from attnkit.errors import UsageError


@dataclass(frozen=True)
class ArtefactLooked:
    """Where the pooling looked: one weight a token, and what was predicted; `cut` counts tokens beyond the limit."""

    tokens: list[str]
    weights: list[float]
    prediction: dict[str, Any]
    cut: int


class Artefact:
    """A shipped model: `predict` texts, or ask for the `attention` on one; answers as its run does.

    A text without a single token is answered with what the model says of nothing, and one beyond the length limit is
    read up to it.
    """

    def __init__(self, contract: Contract, tokenizer: TextTokenizer, session: Session) -> None:
        self.contract, self.tokenizer, self._session = contract, tokenizer, session

    @property
    def kind(self) -> str:
        """The kind of label: "single", "multi" or "score"."""
        return self.contract.kind

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the logits; none for scores."""
        return self.contract.classes

    @property
    def paired(self) -> bool:
        """True where a text is a pair of texts."""
        return self.contract.paired

    @property
    def limits(self) -> Limits:
        """How much of a text is read."""
        return self.contract.limits

    def encode(self, texts: Sequence[Text]) -> list[Ids]:
        """Token ids of each text (or pair), cut to the model's limits.

        Raises: UsageError where `texts` is one bare string, or a text is not what the model was trained on.
        """
        return encoded_checked(self.tokenizer, self.limits, texts, self.paired)

    def logits_of(self, items: Sequence[Ids], batch_rows: int = 64) -> NDArray[Any]:
        """Logits (n, C) of encoded texts, float32."""
        found = np.zeros((len(items), max(1, len(self.classes))), np.float32)
        for rows in batches_of(items, batch_rows):
            found[rows] = self._run([items[row] for row in rows], ["logits"])[0]
        return found

    def logits(self, texts: Sequence[Text], batch_rows: int = 64) -> NDArray[Any]:
        """Logits (n, C) of the texts, float32.

        Raises: UsageError where a text is not what the model was trained on.
        """
        return self.logits_of(self.encode(texts), batch_rows)

    def predict(self, texts: Sequence[Text], batch_rows: int = 64) -> list[dict[str, Any]]:
        """Label, probability and probabilities of each text, in order, as plain data.

        Raises: UsageError where a text is not what the model was trained on.
        """
        return predictions(self.logits(texts, batch_rows), self.contract) if len(texts) else []

    def attention(self, text: Text) -> ArtefactLooked:
        """Tokens of one text, the weight the pooling gave each (mean over heads and queries), and the prediction.

        Raises: UsageError where the model was shipped without its attention.
        """
        if not self.contract.attention:
            raise UsageError("this model was shipped without its attention; ship it with `attn ship --attention`")
        item: list[Any] = list(self.encode([text])[0])
        logits, weights = self._run([item], ["logits", "attention"])
        rows = item if self.limits.hierarchical else [item]
        table = weights[0] if self.limits.hierarchical else weights
        flat = [token for row in rows for token in row]
        weighed = [float(weight) for row, shares in zip(rows, table, strict=False) for weight in shares[: len(row)]]
        tokens = self.tokenizer.tokens(flat)
        cut = cut_tokens(self.tokenizer, text, len(flat))
        return ArtefactLooked(tokens, weighed, predictions(logits, self.contract)[0], cut)

    def _run(self, items: Sequence[Ids], outputs: Sequence[str]) -> list[NDArray[Any]]:
        return self._session.run(*collated(items, self.limits.hierarchical), outputs)


def open_artefact(path: str | os.PathLike[str], *, threads: int | None = None) -> Artefact:
    """The shipped model in a folder or a .pyz file, computed on `threads` threads (None: all cores).

    Raises: UsageError where it is missing, damaged, changed, not an ONNX model, or made for other processors.
    """
    contents = Contents(path)
    contract = contract_of(contents)
    if contract.target != "onnx":
        raise UsageError(f"{contents.path} was shipped to {contract.target}, which runs elsewhere; ship it to onnx")
    check_processor(contract, str(contents.path))
    session = OnnxSession(contents.read_checked(contract.model, contract.files), threads)
    return Artefact(contract, tokenizer_of(contents, contract), session)


def contract_of(contents: Contents) -> Contract:
    """The contract of an artefact.

    Raises: UsageError where it is damaged or of a newer format.
    """
    return Contract.from_json(contents.read(CONTRACT), str(contents.path))


def tokenizer_of(contents: Contents, contract: Contract) -> TextTokenizer:
    """The tokenizer of an artefact.

    Raises: UsageError where it is missing, damaged or changed.
    """
    return TextTokenizer.from_json(contents.read_checked(TOKENIZER, contract.files).decode("utf-8"))
