"""AttentionPooling: learned queries read a sequence into a few vectors."""

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.attention.heads import split_heads
from attnkit.attention.part import Dims
from attnkit.attention.where import Where
from attnkit.kernels.attend import VASWANI, attend
from attnkit.kernels.packed import Pieces, pool_packed
from attnkit.layers.parameter_tree import ParameterTree
from attnkit.layers.taps import Tappable


class AttentionPooling(Tappable):
    """out_BRM: each of R learned queries attends to x_BSM, which serves as keys and values, in H heads.

    The queries stand at the last real token, so that padding moves nothing.

    Raises: ValueError where M does not split into the heads.
    Source: Yang et al. (2016), Hierarchical attention networks, eq. 5-7 (additive score, one query);
    Lee et al. (2019), Set transformer, eq. 11 (several queries).
    Cost: the operator's on R x S pairs.
    """

    def __init__(
        self,
        model_width: int,
        spec: Attention = VASWANI,
        *,
        queries: int = 1,
        heads: int = 1,
        dropout: float = 0.0,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        if heads < 1 or model_width % heads:
            raise ValueError(f"model_width={model_width} does not split into {heads} heads")
        if queries < 1:
            raise ValueError(f"queries must be at least 1; got {queries}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1); got {dropout}")
        self.spec, self.heads, self.dropout, self.kernel = spec, heads, dropout, kernel
        width = model_width // heads
        self.queries = nn.Parameter(torch.randn(queries, model_width) * width**-0.5)
        self.operator = ParameterTree(spec, Dims(heads, width, width))

    def forward(self, x_BSM: Tensor, *, keep: Tensor | None = None, pieces: Pieces | None = None) -> Tensor:
        """out_BRM; a text of padding alone gives zeros. With `pieces`, x (1, N, M) holds the B texts of a packed row.

        Raises: ValueError where pieces do not fit, or come with a keep.
        """
        if pieces is not None:
            if keep is not None:
                raise ValueError("every token of a packed row is real; give pieces or keep, not both")
            return self._packed(x_BSM, pieces)
        B, S, _ = x_BSM.shape
        R = self.queries.shape[0]
        q = split_heads(self.queries.to(x_BSM.dtype).expand(B, -1, -1), self.heads)
        kv = split_heads(x_BSM, self.heads)
        if keep is None:
            last = torch.full((R,), S - 1, device=x_BSM.device)
        else:
            last = (keep * torch.arange(S, device=keep.device)).amax(-1, keepdim=True).expand(-1, R)
        where = Where.of(R, S, keep=keep, query_position=last, device=x_BSM.device)
        params = self.operator.flat()
        dropout = self.dropout if self.training else 0.0
        mixed = attend(q, kv, kv, self.spec, where=where, params=params, dropout=dropout, kernel=self.kernel)
        self._record(self.spec, q, kv, kv, where, params, None, mixed)
        return mixed.transpose(1, 2).flatten(2)

    def _packed(self, x_1NM: Tensor, pieces: Pieces) -> Tensor:
        if self._tap is not None:
            raise ValueError("a packed row cannot be listened to, as it has no map of its own; pad it")
        q = split_heads(self.queries.to(x_1NM.dtype).unsqueeze(0), self.heads)
        kv = split_heads(x_1NM, self.heads)
        dropout = self.dropout if self.training else 0.0
        params = self.operator.flat()
        mixed = pool_packed(q, kv, kv, self.spec, pieces=pieces, params=params, dropout=dropout, kernel=self.kernel)
        return mixed.transpose(1, 2).flatten(2)

    def extra_repr(self) -> str:
        """The operator and the number of queries, in `print(model)`."""
        return f"{self.spec}, queries={self.queries.shape[0]}, heads={self.heads}"
