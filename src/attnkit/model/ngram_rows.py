"""Which row of a table an n-gram has: an exact lookup of the n-grams that were met in training."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.kernels.packed import Pieces
from attnkit.model.embedding import SEPARATOR

# Stands behind all keys where fewer n-grams were met than there are rows.
NO_KEY = 2**63 - 1


class NgramRows(nn.Module):
    """rows_BTN: for n = 1..N the row of the n words that end at t, 0 where they were not met together in training.

    A word has the row of its id. Longer n-grams are a trie: that of n words is found under the key
    row(first n - 1) x V + id(last), and has the row V + place of that key among the R sorted `keys`. Unknown words,
    separators and padding are part of none. `real` is keep_BT, or the Pieces of a packed batch.

    Cost: log2 R comparisons a word and length; 8 bytes an n-gram.
    """

    keys: Tensor

    def __init__(self, vocabulary_size: int, rows: int, longest: int) -> None:
        super().__init__()
        self.vocabulary_size, self.longest = vocabulary_size, longest
        self.register_buffer("keys", torch.full((rows,), NO_KEY, dtype=torch.int64))

    def forward(self, ids_BT: Tensor, real: Tensor | Pieces) -> Tensor:
        plain_BT = ids_BT > SEPARATOR
        if isinstance(real, Tensor):
            plain_BT = plain_BT & real
        row_BT = ids_BT * plain_BT
        found = [row_BT]
        for back in range(1, self.longest):
            before_BT = _before(row_BT)
            key_BT = before_BT * self.vocabulary_size + ids_BT
            place_BT = _place(self.keys, key_BT)
            known_BT = (self.keys[place_BT] == key_BT) & (before_BT > 0) & plain_BT
            if isinstance(real, Pieces):
                # What ends at the last word of one text may not begin the next.
                known_BT = known_BT & (real.place_N >= back)
            row_BT = (place_BT + self.vocabulary_size) * known_BT
            found.append(row_BT)
        return torch.stack(found, -1)


def shares(rows_BT: Tensor, real: Tensor | Pieces, dropout: float = 0.0) -> Tensor:
    """1 / (times that the row stands in its text), so that each counts once; 0 for row 0 and for what is dropped.

    With `dropout` every row of a text is dropped, wherever it stands in it, with that probability; the rest are not
    scaled up, as an attention over them needs no such thing.
    """
    if isinstance(real, Pieces):
        counts = torch.tensor([*real.lengths, real.spare])
        text_N = torch.arange(len(counts)).repeat_interleave(counts)
        rows_BT = torch.where(rows_BT > 0, rows_BT * len(counts) + text_N, 0)
    sorted_BT, order_BT = rows_BT.sort(-1)
    begun_BT = (sorted_BT != _before(sorted_BT)).cumsum(-1)
    run_BT = begun_BT - begun_BT[..., :1]
    times_BT = torch.zeros_like(run_BT).scatter_add(-1, run_BT, torch.ones_like(run_BT))
    share_BT = times_BT.clamp(min=1).float().reciprocal()
    if dropout:
        share_BT = share_BT * (torch.rand(share_BT.shape, device=share_BT.device) >= dropout)
    share_BT = share_BT.gather(-1, run_BT) * (sorted_BT > 0)
    return torch.zeros_like(share_BT).scatter(-1, order_BT, share_BT)


def _place(keys_R: Tensor, key_BT: Tensor) -> Tensor:
    """The place of the first of the sorted keys that is not below each key, at most the last one."""
    most = len(keys_R) - 1
    if not torch.compiler.is_exporting():
        return torch.searchsorted(keys_R, key_BT).clamp(max=most)
    # Not every format that a program is exported to can search: the same by halving steps, each a lookup.
    place_BT = torch.zeros_like(key_BT)
    for power in reversed(range(most.bit_length())):
        further_BT = place_BT + 2**power
        below_BT = (keys_R[further_BT.clamp(max=most) - 1] < key_BT) & (further_BT <= most)
        place_BT = torch.where(below_BT, further_BT, place_BT)
    return place_BT


def _before(x_BT: Tensor) -> Tensor:
    # Cut to T and not by one, so that an export stays free in T.
    return F.pad(x_BT, (1, 0))[..., : x_BT.shape[-1]]
