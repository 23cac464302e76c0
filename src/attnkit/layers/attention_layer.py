"""AttentionLayer: projections around any attention, for self- and cross-attention."""

from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.attention.heads import HeadLayout, split_heads
from attnkit.attention.part import Dims
from attnkit.attention.where import Where
from attnkit.kernels.attend import VASWANI, attend
from attnkit.kernels.packed import Pieces, attend_packed
from attnkit.layers.cache import KeyValueCache
from attnkit.layers.output_gate import OutputGate
from attnkit.layers.parameter_tree import ParameterTree
from attnkit.layers.taps import Tappable


class AttentionLayer(Tappable):
    """x_BTM attends to itself, or to context_BSM: project, attend per head, project back.

    `heads` is H, `key_heads` G (H where not given), `head_width` D (M / H), `value_width` E (D). `output_gate` puts a
    sigmoid gate of the input on each mixed value before the last projection.

    Raises: ValueError where M does not split into the heads, or G does not divide H.
    Source: Vaswani et al. (2017), section 3.2.2.
    Cost: the operator's, and 2 x M x H x (D + E) multiply-adds a token for the projections of multi-head attention.
    """

    def __init__(
        self,
        model_width: int,
        spec: Attention = VASWANI,
        *,
        heads: int = 1,
        key_heads: int | None = None,
        head_width: int | None = None,
        value_width: int | None = None,
        context_width: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        output_gate: bool = False,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        if heads < 1 or (head_width is None and model_width % heads):
            raise ValueError(f"model_width={model_width} does not split into {heads} heads; give head_width")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1); got {dropout}")
        self.layout = HeadLayout(
            heads, model_width // heads if head_width is None else head_width, key_heads, value_width
        )
        self.spec, self.dropout, self.kernel = spec, dropout, kernel
        H, G, D, E = heads, self.layout.G, self.layout.width, self.layout.E
        source = model_width if context_width is None else context_width
        self.query = nn.Linear(model_width, H * D, bias=bias)
        self.key = nn.Linear(source, G * D, bias=bias)
        self.value = nn.Linear(source, G * E, bias=bias)
        self.out = nn.Linear(H * E, model_width, bias=bias)
        self.gate = OutputGate(model_width, H * E) if output_gate else None
        self.operator = ParameterTree(spec, Dims(H, D, E))

    def forward(
        self,
        x_BTM: Tensor,
        context_BSM: Tensor | None = None,
        *,
        keep: Tensor | None = None,
        query_keep: Tensor | None = None,
        where: Where | None = None,
        cache: KeyValueCache | None = None,
        state: Tensor | None = None,
        pieces: Pieces | None = None,
    ) -> Tensor:
        """out_BTM. `keep` (B, S) is True for real keys, and in self-attention for real queries too.

        With a `cache`, x holds the next tokens only and the answer equals theirs in the whole sequence. `state` is
        the map of the layer below, where a refinement reads it. With `pieces`, x (1, N, M) holds the documents of a
        packed row, each of which attends to itself alone.

        Raises: ValueError where the operator cannot be decoded step by step, masks or pieces do not fit, or pieces come
        with anything that says where tokens stand.
        """
        if pieces is not None:
            if any(x is not None for x in (context_BSM, keep, query_keep, where, cache, state)):
                raise ValueError("pieces say by themselves who meets whom; give a packed row nothing else")
            return self._packed(x_BTM, pieces)
        return self._attend(x_BTM, context_BSM, keep, query_keep, where, cache, state)[0]

    def with_rows(
        self, x_BTM: Tensor, *, keep: Tensor | None = None, where: Where | None = None, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(out_BTM, A_BHTS): the output and the map that the layer above may read as its `state`."""
        out, q, k, where = self._attend(x_BTM, None, keep, None, where, None, state)
        return out, self.spec.matrix(q, k, where, self.operator.flat(), state)

    def _attend(
        self,
        x_BTM: Tensor,
        context_BSM: Tensor | None,
        keep: Tensor | None,
        query_keep: Tensor | None,
        where: Where | None,
        cache: KeyValueCache | None,
        state: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Where]:
        if where is not None and (keep is not None or query_keep is not None):
            raise ValueError("give keep inside where, not beside it: Where.of(T, S, keep=keep, ...)")
        source = x_BTM if context_BSM is None else context_BSM
        q = split_heads(self.query(x_BTM), self.layout.heads)
        k = split_heads(self.key(source), self.layout.G)
        v = split_heads(self.value(source), self.layout.G)
        if context_BSM is None and query_keep is None:
            query_keep = keep
        if cache is not None:
            self._check_cache(context_BSM, where)
            k, v, keep = cache.extend(k, v, keep)
        if where is None:
            where = Where.of(q.shape[2], k.shape[2], keep=keep, query_keep=query_keep, device=q.device)
        params = self.operator.flat()
        dropout = self._dropped_share()
        mixed = attend(q, k, v, self.spec, where=where, params=params, state=state, dropout=dropout, kernel=self.kernel)
        self._record(self.spec, q, k, v, where, params, state, mixed)
        return self._merged(x_BTM, mixed), q, k, where

    def _packed(self, x_1NM: Tensor, pieces: Pieces) -> Tensor:
        if self.spec.needs_state:
            raise ValueError("this attention reads the map of the layer below, and a packed row has none; pad it")
        if self._tap is not None:
            raise ValueError("a packed row cannot be listened to, as it has no map of its own; pad it")
        q = split_heads(self.query(x_1NM), self.layout.heads)
        k = split_heads(self.key(x_1NM), self.layout.G)
        v = split_heads(self.value(x_1NM), self.layout.G)
        dropout = self._dropped_share()
        params = self.operator.flat()
        mixed = attend_packed(q, k, v, self.spec, pieces=pieces, params=params, dropout=dropout, kernel=self.kernel)
        return self._merged(x_1NM, mixed)

    def _merged(self, x_BTM: Tensor, mixed_BHTE: Tensor) -> Tensor:
        merged = mixed_BHTE.transpose(1, 2).flatten(2)
        if self.gate is not None:
            merged = self.gate(x_BTM, merged)
        return self.out(merged)

    def _dropped_share(self) -> float:
        return self.dropout if self.training else 0.0

    def _check_cache(self, context: Tensor | None, where: Where | None) -> None:
        if context is not None:
            raise ValueError("a cache extends self-attention; for cross-attention hand in the same context each step")
        if where is not None:
            raise ValueError("with a cache the layer keeps positions itself; leave where out and give keep")
        reason = self.spec.refuses_cache()
        if reason:
            raise ValueError(f"this attention cannot be decoded step by step: {reason}")

    def extra_repr(self) -> str:
        """The operator and the head layout, in `print(model)`."""
        return f"{self.spec}, heads={self.layout.heads}, key_heads={self.layout.G}, kernel={self.kernel!r}"


def new_caches(model: nn.Module) -> dict[str, KeyValueCache]:
    """An empty cache for each AttentionLayer of `model`, by module name."""
    return {name: KeyValueCache() for name, module in model.named_modules() if isinstance(module, AttentionLayer)}
