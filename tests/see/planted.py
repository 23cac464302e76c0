"""Small classifiers whose truth is known, for explanations to find."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.attention.base import Attention
from attnkit.attention.catalogue import named
from attnkit.model.bilstm import BiLSTM
from attnkit.model.classifier import TextClassifier
from attnkit.model.cnn import CNN
from attnkit.model.embedding import Embedding
from attnkit.model.ngrams import HashedNgrams
from attnkit.model.summary import Summary
from attnkit.model.transformer import TransformerEncoder
from attnkit.see.explain import Item, Subject

VOCABULARY, KEYS = 60, (3, 4)


def classifier(encoder: str, *, width: int = 16, pooling: str = "bahdanau", spec: Attention | None = None, **more):
    """A network with fresh weights, in evaluation mode."""
    built: nn.Module | None = None
    if encoder == "bilstm":
        built = BiLSTM(16, width)
    elif encoder == "cnn":
        built = CNN(16, width, (2, 3))
    elif encoder == "transformer":
        built = TransformerEncoder(16, width, spec or named("vaswani"), layers=2, heads=2)
    ngrams = HashedNgrams(2, 64, 16) if more.pop("ngrams", False) else None
    read = width if built is not None else 16
    summary = Summary(read, named(pooling), **more)
    return TextClassifier(Embedding(VOCABULARY, 16, word_dropout=0.1), ngrams, built, summary, 2, 0.0).eval()


def texts(count: int, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, label, place of the key): noise with one key, which alone tells the label."""
    ids = torch.randint(5, VOCABULARY, (count, length), generator=generator)
    label, at = torch.arange(count) % 2, torch.randint(0, length, (count,), generator=generator)
    ids[torch.arange(count), at] = torch.tensor(KEYS)[label]
    return ids, label, at


def learned(network: TextClassifier, steps: int = 150, length: int = 20) -> TextClassifier:
    """The same network once it knows the keys."""
    generator = torch.Generator().manual_seed(1)
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(steps):
        ids, label, _ = texts(32, length, generator)
        loss = F.cross_entropy(network(ids, torch.ones_like(ids).bool()), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def subject_of(network: TextClassifier) -> Subject:
    parts = [part for part in (network.embedding, network.ngrams) if part is not None]
    return Subject(network, parts, network, replacement=1, specials=(2,))


def items_of(subject: Subject, ids: Tensor) -> list[Item]:
    return [subject.item(row) for row in ids.tolist()]


class Additive(nn.Module):
    """f = sum of a weight a token: what taking tokens away does is known beforehand."""

    def __init__(self, weights: list[float], bias: float = 0.0) -> None:
        super().__init__()
        self.rows = nn.Embedding.from_pretrained(torch.tensor(weights)[:, None])
        self.bias = bias

    def forward(self, ids_BT: Tensor, keep_BT: Tensor) -> Tensor:
        f_B = (self.rows(ids_BT).squeeze(-1) * keep_BT).sum(-1) + self.bias
        return torch.stack([torch.zeros_like(f_B), f_B], -1)


def additive(weights: list[float], **more) -> Subject:
    network = Additive(weights).eval()
    return Subject(network, [network.rows], network, replacement=0, **more)
