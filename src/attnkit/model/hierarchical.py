"""Hierarchical attention: words to sentences, sentences to a document, with an attention pooling over each."""

import torch
from torch import Tensor, nn

from attnkit.layers import Dropout
from attnkit.model.embedding import Embedding
from attnkit.model.summary import Summary


class HierarchicalClassifier(nn.Module):
    """s_n = summary(words(E[ids_n])) for each sentence n; logits = W dropout(summary(sentences(s_1..s_N))).

    `ids_BNT` holds N sentences of T words, `keep_BNT` is True on real words; real words and real sentences stand
    before their padding. Sentences that are padding throughout are not computed.

    Source: Yang et al. 2016, equations 1 to 10.
    """

    def __init__(
        self,
        embedding: Embedding,
        words: nn.Module | None,
        word_summary: Summary,
        sentences: nn.Module,
        sentence_summary: Summary,
        outputs: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.words = words
        self.word_summary = word_summary
        self.sentences = sentences
        self.sentence_summary = sentence_summary
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(sentence_summary.width, outputs)

    def forward(self, ids_BNT: Tensor, keep_BNT: Tensor) -> Tensor:
        keep_BN = keep_BNT.any(-1)
        ids_RT, keep_RT = (ids_BNT.flatten(0, 1), keep_BNT.flatten(0, 1))
        if torch.compiler.is_exporting():
            found_BNM = self.sentence(ids_RT, keep_RT).unflatten(0, keep_BN.shape)
        else:
            real_R = computed(keep_BN).flatten()
            found_RM = self.sentence(ids_RT[real_R], keep_RT[real_R])
            blank = found_RM.new_zeros(real_R.shape[0], found_RM.shape[1])
            found_BNM = blank.masked_scatter(real_R.unsqueeze(-1), found_RM).unflatten(0, keep_BN.shape)
        x_BNM = self.sentences(found_BNM, keep_BN)
        return self.head(self.dropout(self.sentence_summary(x_BNM, keep_BN)))

    def refuses_packing(self) -> str | None:
        """Why texts cannot stand end to end here: always, as a text is a table of sentences."""
        return "a hierarchical model reads a text as a table of sentences, not as one row of tokens"

    def sentence(self, ids_RT: Tensor, keep_RT: Tensor) -> Tensor:
        """One vector a sentence."""
        x_RTM = self.embedding(ids_RT)
        if self.words is not None:
            x_RTM = self.words(x_RTM, keep_RT)
        return self.dropout(self.word_summary(x_RTM, keep_RT))


def computed(keep_BN: Tensor) -> Tensor:
    """Which sentences are computed, (B, N): the real ones, and always the first, as an LSTM refuses a batch of none."""
    return torch.cat([keep_BN.new_ones(keep_BN.shape[0], 1), keep_BN[:, 1:]], 1)
