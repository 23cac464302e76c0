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
        """Everything so far with this step's keys, values and keep behind it; a step that does not fit changes nothing.

        Raises: ValueError where the batch size or a head shape changed between steps, or values or keep do not fit.
        """
        B, _, step, _ = k.shape
        if v.shape[:3] != k.shape[:3]:
            raise ValueError(f"keys {tuple(k.shape)} and values {tuple(v.shape)} of a step must agree but in width")
        if keep is not None and keep.shape != (B, step):
            raise ValueError(f"keep of a step must be {(B, step)}, a truth a token; got {tuple(keep.shape)}")
        if self.k is not None and self.v is not None:
            for name, held, new in (("keys", self.k, k), ("values", self.v, v)):
                if held.shape[:2] != new.shape[:2] or held.shape[3] != new.shape[3]:
                    raise ValueError(f"the cache holds {name} like {tuple(held.shape)} and got {tuple(new.shape)}")
            before = self.keep
            if (keep is None) != (before is None):
                real = torch.ones(B, max(self.length, step), dtype=torch.bool, device=k.device)
                keep, before = (real[:, :step], before) if keep is None else (keep, real[:, : self.length])
            k, v = torch.cat([self.k, k], dim=2), torch.cat([self.v, v], dim=2)
            if keep is not None and before is not None:
                keep = torch.cat([before, keep], dim=1)
        self.k, self.v, self.keep = k, v, keep
        return k, v, keep
