"""Hashed n-grams: what stands side by side, added to the embedding of the word it ends on."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.kernels.packed import Pieces

_MULTIPLIER = 1_000_003


class HashedNgrams(nn.Module):
    """y_BTM = sum over n = 2..N of E[hash(ids of the n words that end here)].

    Buckets are rows of one table; row 0 stands for "no n-gram ends here" and stays zero. `real` is keep_BT, or the
    Pieces of a packed batch.

    Source: Joulin et al. 2017 (bag of tricks), section 2.2.
    """

    def __init__(self, longest: int, buckets: int, width: int) -> None:
        super().__init__()
        self.longest = longest
        self.buckets = buckets
        self.rows = nn.Embedding(buckets, width, padding_idx=0)
        nn.init.zeros_(self.rows.weight)

    def forward(self, ids_BT: Tensor, real: Tensor | Pieces) -> Tensor:
        total = torch.zeros((), device=ids_BT.device)
        hashed = ids_BT
        whole = torch.ones_like(ids_BT, dtype=torch.bool) if isinstance(real, Pieces) else real
        for back in range(1, self.longest):
            before = F.pad(ids_BT, (back, 0))[..., : ids_BT.shape[-1]]
            # An n-gram is whole where its first word stands in the same text.
            begun = real.place_N >= back if isinstance(real, Pieces) else F.pad(real, (back, 0))[..., : real.shape[-1]]
            whole = whole & begun
            hashed = (hashed * _MULTIPLIER + before + back) % (2**31 - 1)
            total = total + self.rows((1 + hashed % (self.buckets - 1)) * whole)
        return total
