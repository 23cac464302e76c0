"""A language model: embedding and encoder, and the words themselves as what is predicted."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from attnkit.kernels.packed import Pieces
from attnkit.layers import AttentionLayer
from attnkit.model.bert import BertEncoder, BertPlaces
from attnkit.model.bilstm import BiLSTM
from attnkit.model.embedding import MASK, UNKNOWN, Embedding
from attnkit.model.transformer import TransformerEncoder

HIDDEN_SHARE = 0.15
# Of the hidden words: shown as the mask, and shown as any other word; the rest is shown as it is.
MASKED_SHARE, SWAPPED_SHARE = 0.8, 0.1
# Positions whose probabilities over the whole vocabulary stand in memory at once.
_POSITIONS_AT_ONCE = 1024
_PRIMES = (73_856_093, 19_349_663, 83_492_791)


class LanguageModel(nn.Module):
    """sums_B3 of a text: -log p of its predicted words, how many there are, and how many are predicted right.

    masked: 15 % of the words are predicted from the whole text, in which 80 % of them are hidden, 10 % are other words
    and 10 % stand as they are; in evaluation all are hidden, and which ones depends on the text alone. causal: every
    word but the first is predicted from those before it, and with a bilstm every word but the last from those behind.

    p = softmax(E norm(gelu(W h))) over the whole vocabulary, E the table of embeddings. Special tokens, padding and
    unknown words are never predicted. `mask_id` is what hides a word.

    Raises: ValueError where the encoder would see the word that it is to predict.
    Source: Devlin et al. 2019, section 3.1 (masked); Peters et al. 2018, section 3.1 (both directions of a bilstm);
        tied embeddings, Press and Wolf 2017.
    """

    def __init__(
        self,
        embedding: Embedding,
        encoder: nn.Module | None,
        width: int,
        objective: Literal["masked", "causal"],
        places: BertPlaces | None = None,
    ) -> None:
        super().__init__()
        if reason := _refusal(encoder, objective):
            raise ValueError(reason)
        assert encoder is not None
        self.embedding, self.places, self.encoder, self.objective = embedding, places, encoder, objective
        self.both_ways = objective == "causal" and isinstance(encoder, BiLSTM)
        self.mask_id = MASK if embedding.spared == MASK else UNKNOWN
        vocabulary, table_width = embedding.rows.weight.shape
        self.words = nn.Sequential(
            nn.Linear(width // 2 if self.both_ways else width, table_width), nn.GELU(), nn.LayerNorm(table_width)
        )
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, ids_BT: Tensor, real: Tensor | Pieces) -> Tensor:
        if isinstance(real, Pieces) and (reason := self.refuses_packing()):
            raise ValueError(f"this model cannot read a packed batch: {reason}; pad it")
        text_BT, place_BT, keep_BT = _standing(ids_BT, real)
        rows = len(real.lengths) if isinstance(real, Pieces) else len(ids_BT)
        may_BT = keep_BT & (ids_BT > self.embedding.spared)
        if self.objective == "masked":
            chosen_BT = self._chosen(ids_BT, place_BT, may_BT)
            found_BTM = self._read(self._hidden(ids_BT, chosen_BT), real)
            return self._sums(found_BTM, chosen_BT, ids_BT, text_BT, rows)
        found_BTM = self._read(ids_BT, real)
        onward = found_BTM[..., : found_BTM.shape[-1] // 2] if self.both_ways else found_BTM
        sums_B3 = self._beside(onward, ids_BT, may_BT, text_BT, keep_BT, rows, back=False)
        if self.both_ways:
            backward = found_BTM[..., found_BTM.shape[-1] // 2 :]
            sums_B3 = sums_B3 + self._beside(backward, ids_BT, may_BT, text_BT, keep_BT, rows, back=True)
        return sums_B3

    def refuses_packing(self) -> str | None:
        """Why texts cannot stand end to end here; None where they can."""
        if isinstance(self.encoder, TransformerEncoder | BertEncoder):
            return self.encoder.refuses_packing()
        return f"a {type(self.encoder).__name__} reads across the places where one text ends and the next begins"

    def _read(self, ids_BT: Tensor, real: Tensor | Pieces) -> Tensor:
        x_BTM = self.embedding(ids_BT)
        if self.places is not None:
            x_BTM = x_BTM + self.places(ids_BT, real)
        found_BTM: Tensor = self.encoder(x_BTM, real)
        return found_BTM

    def _chosen(self, ids_BT: Tensor, place_BT: Tensor, may_BT: Tensor) -> Tensor:
        if self.training:
            return may_BT & (torch.rand(ids_BT.shape, device=ids_BT.device) < HIDDEN_SHARE)
        before_BT = F.pad(ids_BT, (1, 0))[:, :-1] * (place_BT > 0)
        mixed_BT = ids_BT * _PRIMES[0] ^ before_BT * _PRIMES[1] ^ (place_BT + 1) * _PRIMES[2]
        return may_BT & (mixed_BT % 1000 < 1000 * HIDDEN_SHARE)

    def _hidden(self, ids_BT: Tensor, chosen_BT: Tensor) -> Tensor:
        if not self.training:
            return ids_BT.masked_fill(chosen_BT, self.mask_id)
        drawn_BT = torch.rand(ids_BT.shape, device=ids_BT.device)
        words = len(self.embedding.rows.weight)
        least = min(self.embedding.spared + 1, words - 1)
        others_BT = torch.randint(least, words, ids_BT.shape, device=ids_BT.device)
        shown_BT = ids_BT.masked_fill(chosen_BT & (drawn_BT < MASKED_SHARE), self.mask_id)
        swapped_BT = chosen_BT & (drawn_BT >= MASKED_SHARE) & (drawn_BT < MASKED_SHARE + SWAPPED_SHARE)
        return torch.where(swapped_BT, others_BT, shown_BT)

    def _beside(
        self, found: Tensor, ids: Tensor, may: Tensor, text: Tensor, keep: Tensor, rows: int, back: bool
    ) -> Tensor:
        """The sums where each position predicts the word behind it, or with `back` the word before it."""
        here, there = (slice(1, None), slice(None, -1)) if back else (slice(None, -1), slice(1, None))
        one_text = (text[:, here] == text[:, there]) & keep[:, here]
        return self._sums(found[:, here], may[:, there] & one_text, ids[:, there], text[:, there], rows)

    def _sums(self, found_BTM: Tensor, chosen_BT: Tensor, ids_BT: Tensor, text_BT: Tensor, rows: int) -> Tensor:
        found_KM, ids_K, text_K = found_BTM[chosen_BT], ids_BT[chosen_BT], text_BT[chosen_BT]
        sums_B3 = found_BTM.new_zeros(rows, 3, dtype=torch.float32)
        step = _POSITIONS_AT_ONCE
        for found, ids, text in zip(found_KM.split(step), ids_K.split(step), text_K.split(step), strict=True):
            # Probabilities over a vocabulary are computed again in the backward pass: they would fill the memory.
            told = checkpoint(self._told, found, ids, use_reentrant=False) if self.training else self._told(found, ids)
            sums_B3 = sums_B3.index_add(0, text, told)
        return sums_B3

    def _told(self, found_KM: Tensor, ids_K: Tensor) -> Tensor:
        """(K, 3): -log p, 1, and 1 where the word is the likeliest."""
        logits_KV = F.linear(self.words(found_KM), self.embedding.rows.weight, self.bias).float()
        loss_K = F.cross_entropy(logits_KV, ids_K, reduction="none")
        right_K = (logits_KV.detach().argmax(-1) == ids_K).float()
        return torch.stack([loss_K, torch.ones_like(loss_K), right_K], -1)


def _standing(ids_BT: Tensor, real: Tensor | Pieces) -> tuple[Tensor, Tensor, Tensor]:
    """Of each token: the number of its text, its place in it, and whether it is real."""
    if isinstance(real, Pieces):
        counts = torch.tensor([*real.lengths, real.spare])
        text_N = torch.arange(len(counts)).repeat_interleave(counts)
        keep_N = text_N < len(real.lengths)
        return text_N.unsqueeze(0), real.place_N.unsqueeze(0), keep_N.unsqueeze(0)
    text_BT = torch.arange(len(ids_BT), device=ids_BT.device).unsqueeze(1).expand_as(ids_BT)
    place_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device).expand_as(ids_BT)
    return text_BT, place_BT, real


def _refusal(encoder: nn.Module | None, objective: str) -> str | None:
    if encoder is None:
        return "without an encoder no word is seen by another, and none can be predicted; set model.encoder"
    if objective == "masked":
        return None
    if isinstance(encoder, BiLSTM):
        seen = "a bilstm of several layers sees the word it is to predict; set model.layers = 1"
        return seen if len(encoder.onward) > 1 else None
    if isinstance(encoder, TransformerEncoder | BertEncoder):
        layers = [module for module in encoder.modules() if isinstance(module, AttentionLayer)]
        causal = all(layer.spec.claims().causal for layer in layers)
        return (
            None if causal else 'its attention sees later words; set model.attention = "llama", or another causal one'
        )
    return f'a {type(encoder).__name__} sees later words; set model.language = "masked" (--objective masked)'
