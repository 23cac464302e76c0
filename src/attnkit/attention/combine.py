"""Combinations: operators side by side (Sum, Mixture) and one after the other (Then)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.base import Attention, Claims, where_or_all
from attnkit.attention.heads import share_heads
from attnkit.attention.init import zeros
from attnkit.attention.normalizer.softmax import Softmax
from attnkit.attention.part import Dims, Params, ParamSpec, needed, nested, require, scoped
from attnkit.attention.where import Where

# How one of the operators mixes: (operator, q, k, v, where, params, state) to out_BHTE.
Mixer = Callable[[Attention, Tensor, Tensor, Tensor, Where, Params | None, Tensor | None], Tensor]


def by_itself(
    part: Attention, q: Tensor, k: Tensor, v: Tensor, where: Where, params: Params | None, state: Tensor | None
) -> Tensor:
    """The operator's own mixing."""
    return part.mix(q, k, v, where, params, state)


@dataclass(frozen=True)
class Composed(Attention):
    """An operator made of operators: `compose` puts their results together, whoever mixes for them."""

    def compose(
        self,
        mixer: Mixer,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """out_BHTE, each operator's part of it mixed by `mixer`."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is put together")

    def mix(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """out_BHTE, each operator mixing by itself."""
        return self.compose(by_itself, q, k, v, where_or_all(where, q, k), params, state)


@dataclass(frozen=True)
class _Beside(Composed):
    """Operators on the same queries, keys and values; parameters under `0.`, `1.` and so on."""

    of: tuple[Attention, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", tuple(self.of))
        require(len(self.of) >= 2, self, "of", "two operators or more")
        require(all(isinstance(part, Attention) for part in self.of), self, "of", "a tuple of Attentions")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """What each operator learns, under its number."""
        specs: dict[str, ParamSpec] = {}
        for index, part in enumerate(self.of):
            specs |= nested(str(index), part.parameters(dims))
        return specs

    def matrices(
        self, q: Tensor, k: Tensor, where: Where, params: Params | None, state: Tensor | None
    ) -> Iterator[Tensor]:
        """Each operator's map."""
        for index, part in enumerate(self.of):
            yield part.matrix(q, k, where, scoped(params, str(index)), state)

    def mixes(
        self,
        mixer: Mixer,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where,
        params: Params | None,
        state: Tensor | None,
    ) -> Iterator[Tensor]:
        """Each operator's result."""
        for index, part in enumerate(self.of):
            yield mixer(part, q, k, v, where, scoped(params, str(index)), state)

    def refuses_cache(self) -> str | None:
        """The first operator's reason."""
        return next((reason for part in self.of if (reason := part.refuses_cache())), None)

    @property
    def needs_state(self) -> bool:
        """True where one of them reads a lower layer's rows."""
        return any(part.needs_state for part in self.of)

    @property
    def sees_itself(self) -> bool:
        """One that sees the token itself is enough."""
        return any(part.sees_itself for part in self.of)


@dataclass(frozen=True)
class Sum(_Beside):
    """A = A_0 + A_1 + ..., as a hybrid of local and global attention is.

    Raises: ValueError where `of` holds fewer than two operators.
    Source: Zhu et al. (2021), Long-short transformer, for the hybrid.
    Cost: the operators' together.
    """

    def matrix(
        self,
        q: Tensor,
        k: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """The map A_BHTS."""
        first, *others = self.matrices(q, k, where_or_all(where, q, k), params, state)
        return sum(others, start=first)

    def compose(
        self,
        mixer: Mixer,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """out_BHTE, the sum of the operators' results."""
        first, *others = self.mixes(mixer, q, k, v, where, params, state)
        return sum(others, start=first)

    def claims(self) -> Claims:
        """What all hold; rows sum to the number of operators that see something."""
        each = [part.claims() for part in self.of]
        return Claims(
            nonnegative=all(one.nonnegative for one in each),
            causal=all(one.causal for one in each),
            order_free=all(one.order_free for one in each),
        )


@dataclass(frozen=True)
class Mixture(_Beside):
    """A_ts = sum_c g_tc A_c,ts, g_t = softmax_c(q_t . w_c + b_c) a head, over the operators c that see something at t.

    An operator whose row is empty leaves its share to the others, so rows that sum to one still do. Parameters
    `gate.w` (H, D, C) and `gate.b` (H, C) begin at zero: equal shares.

    Raises: ValueError where `of` holds fewer than two operators.
    Source: Jacobs et al. (1991), Adaptive mixtures of local experts, eq. 1.
    Cost: the operators' together, T x D x C multiply-adds a head, and one value column more.
    """

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """What each operator learns, and the gate."""
        gate = {
            "w": ParamSpec((dims.heads, dims.width, len(self.of)), zeros),
            "b": ParamSpec((dims.heads, len(self.of)), zeros),
        }
        return super().parameters(dims) | nested("gate", gate)

    def matrix(
        self,
        q: Tensor,
        k: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """The map A_BHTS."""
        maps = torch.stack([*self.matrices(q, k, where_or_all(where, q, k), params, state)], dim=-1)
        return (maps * self._gate(q, maps.sum(-2), params)[..., None, :]).sum(-1)

    def compose(
        self,
        mixer: Mixer,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """out_BHTE; a column of ones beside the values tells which operators see something."""
        beside_ones = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
        mixed = torch.stack([*self.mixes(mixer, q, k, beside_ones, where, params, state)], dim=-1)
        return (mixed[..., :-1, :] * self._gate(q, mixed[..., -1, :], params)[..., None, :]).sum(-1)

    def _gate(self, q_BHTD: Tensor, row_sums_BHTC: Tensor, params: Params | None) -> Tensor:
        """Shares (B, H, T, C)."""
        own = scoped(params, "gate")
        w, b = (needed(own, name, self).to(q_BHTD.dtype) for name in ("w", "b"))
        return Softmax().weights(q_BHTD @ w + b[:, None, :], row_sums_BHTC != 0, {})

    def claims(self) -> Claims:
        """What all hold."""
        each = [part.claims() for part in self.of]
        return Claims(
            rows_sum_to_one=all(one.rows_sum_to_one for one in each),
            nonnegative=all(one.nonnegative for one in each),
            causal=all(one.causal for one in each),
            order_free=all(one.order_free for one in each),
        )


@dataclass(frozen=True)
class Then(Composed):
    """A = A_2 A_1: `first` mixes the values among the keys, `second` reads the result, as segments, then between them.

    A_1 = first.matrix(k, k) with every key a query too; parameters under `first.` and `second.`.

    Raises: ValueError where a field is no Attention, or `first` reads a lower layer's rows.
    Source: Liu et al. (2021), Swin transformer, section 3.2, for attention within and then across pieces.
    Cost: that of `first` on S x S pairs and of `second` on T x S.
    """

    second: Attention
    first: Attention

    def __post_init__(self) -> None:
        require(isinstance(self.second, Attention), self, "second", "an Attention")
        require(isinstance(self.first, Attention), self, "first", "an Attention")
        require(not self.first.needs_state, self, "first", "an operator that reads no lower layer's rows")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """What each of the two learns."""
        return nested("first", self.first.parameters(dims)) | nested("second", self.second.parameters(dims))

    def matrix(
        self,
        q: Tensor,
        k: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """The map A_BHTS."""
        where = where_or_all(where, q, k)
        among = self.first.matrix(share_heads(k, q.shape[1]), k, where.among_keys, scoped(params, "first"))
        return self.second.matrix(q, k, where, scoped(params, "second"), state) @ among

    def compose(
        self,
        mixer: Mixer,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """out_BHTE, the values mixed twice."""
        # What is mixed once has a value for each query head, and so needs a key for each.
        shared = share_heads(k, q.shape[1])
        values = mixer(self.first, shared, k, v, where.among_keys, scoped(params, "first"), None)
        return mixer(self.second, q, shared, values, where, scoped(params, "second"), state)

    def claims(self) -> Claims:
        """What both hold; rows sum to one where `first` also leaves no key's row empty."""
        first, second = self.first.claims(), self.second.claims()
        return Claims(
            rows_sum_to_one=first.rows_sum_to_one and second.rows_sum_to_one and self.first.sees_itself,
            nonnegative=first.nonnegative and second.nonnegative,
            causal=first.causal and second.causal,
            order_free=first.order_free and second.order_free,
        )

    def refuses_cache(self) -> str | None:
        """The first operator's reason, or the second's."""
        return self.first.refuses_cache() or self.second.refuses_cache()

    @property
    def needs_state(self) -> bool:
        """True where `second` reads a lower layer's rows."""
        return self.second.needs_state

    @property
    def sees_itself(self) -> bool:
        """Both must let a token see itself."""
        return self.first.sees_itself and self.second.sees_itself
