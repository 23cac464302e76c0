"""KeyValueCache: the keys and values so far, for decoding step by step."""

import torch
from torch import Tensor


class KeyValueCache:
    """Grows by the tokens of each step; queries are answered at their true positions.

    Holds k_BGSD, v_BGSE and keep_BS of all steps so far. Memory: B x G x S x (D + E).
    """

    def __init__(self) -> None:
        self.k: Tensor | None = None
        self.v: Tensor | None = None
        self.keep: Tensor | None = None

    @property
    def length(self) -> int:
        """Tokens held so far."""
        return 0 if self.k is None else self.k.shape[2]

    def extend(self, k: Tensor, v: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Everything so far with this step's keys, values and keep behind it.

        Raises: ValueError where the batch size or the head shape changed between steps.
        """
        if self.k is not None and self.v is not None:
            if self.k.shape[:2] != k.shape[:2] or self.k.shape[3] != k.shape[3]:
                raise ValueError(f"the cache holds keys like {tuple(self.k.shape)} and got {tuple(k.shape)}")
            if (keep is None) != (self.keep is None):
                real = torch.ones(k.shape[0], max(self.length, k.shape[2]), dtype=torch.bool, device=k.device)
                if keep is None:
                    keep = real[:, : k.shape[2]]
                else:
                    self.keep = real[:, : self.length]
            k, v = torch.cat([self.k, k], dim=2), torch.cat([self.v, v], dim=2)
            if keep is not None and self.keep is not None:
                keep = torch.cat([self.keep, keep], dim=1)
        self.k, self.v, self.keep = k, v, keep
        return k, v, keep
