"""A text classifier: embedding, encoder, attention pooling, head."""

import torch
from torch import Tensor, nn

from attnkit.kernels.packed import Pieces
from attnkit.layers import Dropout
from attnkit.model.bert import BertEncoder, BertPlaces
from attnkit.model.embedding import Embedding
from attnkit.model.ngrams import HashedNgrams
from attnkit.model.summary import Summary
from attnkit.model.transformer import TransformerEncoder
from attnkit.model.wide import WideNgrams


class TextClassifier(nn.Module):
    """logits_BC = W dropout(summary([encoder(x) ; x])) with x_BTM = embedding(ids_BT); "; x" only with `words_beside`.

    `ids_BT` are token ids with 0 for padding, `keep_BT` is True on real tokens, which stand before all padding. A row
    without a real token gets the bias of the head, whatever stands beside it. The Pieces of a packed batch may stand in
    place of `keep_BT`, with ids (1, N): the tokens of B texts end to end give the same logits, with nothing padded.
    What `places` gives for the ids is added to the embedding, and what `wide` gives for them to the logits. While
    training each of the two is left out of the logits of a share `branch_dropout` of the texts, never both, so that
    neither rests because the other has explained a text.

    Source: words beside their contexts, Lai et al. 2015, equation 3.
    """

    def __init__(
        self,
        embedding: Embedding,
        ngrams: HashedNgrams | None,
        encoder: nn.Module | None,
        summary: Summary,
        outputs: int,
        dropout: float,
        words_beside: bool = False,
        places: BertPlaces | None = None,
        wide: WideNgrams | None = None,
        branch_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.ngrams = ngrams
        self.places = places
        self.wide = wide
        self.branch_dropout = branch_dropout
        self.encoder = encoder
        self.summary = summary
        self.words_beside = words_beside
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(summary.width, outputs)

    def forward(self, ids_BT: Tensor, keep_BT: Tensor | Pieces) -> Tensor:
        if isinstance(keep_BT, Pieces) and (reason := self.refuses_packing()):
            raise ValueError(f"this model cannot read a packed batch: {reason}; pad it")
        x_BTM = self.embedding(ids_BT)
        if self.ngrams is not None:
            x_BTM = x_BTM + self.ngrams(ids_BT, keep_BT)
        if self.places is not None:
            x_BTM = x_BTM + self.places(ids_BT, keep_BT)
        if self.encoder is not None:
            found_BTM = self.encoder(x_BTM, keep_BT)
            words_BTM = x_BTM if isinstance(keep_BT, Pieces) else x_BTM * keep_BT.unsqueeze(-1)
            x_BTM = torch.cat([found_BTM, words_BTM], -1) if self.words_beside else found_BTM
        logits_BC = self.head(self.dropout(self.summary(x_BTM, keep_BT)))
        return logits_BC if self.wide is None else self._beside(logits_BC, self.wide(ids_BT, keep_BT))

    def _beside(self, deep_BC: Tensor, wide_BC: Tensor) -> Tensor:
        if not self.training or not self.branch_dropout:
            return deep_BC + wide_BC
        drawn_B1 = torch.rand(len(deep_BC), 1, device=deep_BC.device)
        return deep_BC * (drawn_B1 >= self.branch_dropout) + wide_BC * (drawn_B1 < 1 - self.branch_dropout)

    def refuses_packing(self) -> str | None:
        """Why texts cannot stand end to end here; None where they can."""
        if self.encoder is None or isinstance(self.encoder, TransformerEncoder | BertEncoder):
            return None if self.encoder is None else self.encoder.refuses_packing()
        return f"a {type(self.encoder).__name__} reads across the places where one text ends and the next begins"
