"""Convolution over the map: neighbouring pairs lend one another weight."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.init import zeros
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require
from attnkit.attention.refine.base import Refinement, per_head
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Convolution(Refinement):
    """A'_ts = A_ts + sum_ab kernel_hab * A_(t - above + a)(s - left + b) where t may see s, zero elsewhere.

    a < `queries` and b < `keys` run over a neighbourhood with the pair at its centre (above = queries // 2,
    left = keys // 2), or with `causal` at its lower right corner (above = queries - 1, left = keys - 1). Beyond the
    edges, at padding and in rows of other documents there is nothing. Identity: kernel = 0.

    Raises: ValueError where `queries` is below one or `keys` below two, or one of them even without `causal`.
    Source: Wang et al. (2021), Evolving attention with residual convolutions, section 3.2; Golovneva et al. (2025),
    Multi-token attention, eq. 5.
    Cost: queries x keys multiply-adds a pair.
    """

    queries: int = 1
    keys: int = 3
    causal: bool = False

    def __post_init__(self) -> None:
        odd = "" if self.causal else ", odd unless causal"
        require(self.queries >= 1 and (self.causal or self.queries % 2 == 1), self, "queries", "at least 1" + odd)
        require(self.keys >= 2 and (self.causal or self.keys % 2 == 1), self, "keys", "at least 2" + odd)

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`kernel` (H, queries, keys)."""
        return {"kernel": ParamSpec((dims.heads, self.queries, self.keys), zeros)}

    def on_weights(
        self, weights: Tensor, allowed: Tensor | None, where: Where, params: Params, state: Tensor | None
    ) -> Tensor:
        """A_BHTS plus its shifted copies; a sum of slices, so that a zero kernel adds exactly nothing."""
        kernel_HQK = needed(params, "kernel", self)
        T, S = weights.shape[-2:]
        above, left = (self.queries - 1, self.keys - 1) if self.causal else (self.queries // 2, self.keys // 2)
        below, right = self.queries - 1 - above, self.keys - 1 - left
        padded = F.pad(weights, (left, right, above, below))
        document = where.query_document
        refined = weights
        for a in range(self.queries):
            rows = padded[:, :, a : a + T]
            if document is not None and a != above:
                other = F.pad(document, (above, below))[..., a : a + T]
                rows = rows * (other == document).reshape(-1, 1, T, 1)
            for b in range(self.keys):
                refined = refined + rows[..., b : b + S] * per_head(kernel_HQK[:, a, b], weights)
        return refined if allowed is None else refined.masked_fill(~allowed, 0.0)

    @property
    def keeps_causal(self) -> bool:
        """True where no later query's row is read: that row knows later keys."""
        return self.causal or self.queries == 1

    @property
    def order_free(self) -> bool:
        """Neighbours count."""
        return False

    def refuses_cache(self) -> str | None:
        """Other queries' rows are needed where the kernel is more than one row high."""
        if self.queries == 1:
            return None
        return f"Convolution(queries={self.queries}) reads the rows of other queries, which a cache does not keep"

    @property
    def rows_read(self) -> tuple[int, int]:
        """Those that the kernel covers."""
        above = self.queries - 1 if self.causal else self.queries // 2
        return above, self.queries - 1 - above
