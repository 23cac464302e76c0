"""Scan: causal linear attention chunk by chunk, with what was read so far kept as one small state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.factored import CausalLinear
from attnkit.attention.factored.linear import features
from attnkit.kernels.cost import Cost
from attnkit.kernels.kernel import Call, Kernel
from attnkit.kernels.sdpa import results_bytes
from attnkit.kernels.situation import Situation

# Tokens that meet in a small map. With D = E = 64 twice as many take 1.1 times as long, four times as many 1.6 times.
CHUNK = 64


@dataclass(frozen=True, eq=False)
class LinearState:
    """What causal linear attention knows of the keys so far, in at least float32.

    `values_BGDE` is sum_s phi(k_s) v_s^T and `keys_BGD` is sum_s phi(k_s). Memory: B x G x D x (E + 1), whatever S.
    """

    values_BGDE: Tensor
    keys_BGD: Tensor


class Scan(Kernel):
    """Causal linear attention with default positions, its memory the results and a chunk.

    Source: Katharopoulos et al. (2020), Transformers are RNNs, eq. 16 to 20 and algorithm 1; Hua et al. (2022) for the
    chunks.
    Cost: 2 D E + 64 (D + E) multiply-adds a token and head, and about three times as many backwards.
    """

    name = "scan"
    opaque = True

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """Only where the order of queries and keys is known without looking."""
        # The exact type: what a class derived from it changes would be lost.
        if type(spec) is not CausalLinear:
            return f"{type(spec).__name__} is not causal linear attention"
        if not situation.aligned:
            return "positions were given, and a scan reads queries and keys in their own order"
        if situation.dropout:
            return "dropout falls on weights that a scan never has"
        return "an exported graph cannot count chunks of a length not yet known" if situation.T is None else None

    def concerns(self, spec: Attention, situation: Situation) -> bool:
        """Causal linear attention."""
        return isinstance(spec, CausalLinear)

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """Three times a forward pass more for gradients; beside the results the map of a chunk and some of its size."""
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        D, E, heads = situation.width, situation.value_width, situation.batch * situation.heads
        passes = 4 if situation.needs_grad else 1
        chunk = min(CHUNK, situation.T)
        work = passes * heads * ((situation.T + situation.S) * D * E + situation.T * chunk * (D + E))
        wide = max(4, situation.itemsize)
        held = heads * (situation.T + 2 * chunk * (chunk + D + E) + 2 * D * (E + 1)) * wide
        return Cost(work, results_bytes(situation) + held)

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        where = call.where
        return scan(call.q_BHTD, call.k_BGSD, call.v_BGSE, keep=where.keep, query_keep=where.query_keep)[0]


def initial_state(k_BGSD: Tensor, v_BGSE: Tensor) -> LinearState:
    """The state before the first key, for keys and values of these shapes and types."""
    B, G, _, D = k_BGSD.shape
    wide = torch.promote_types(k_BGSD.dtype, torch.float32)
    values = k_BGSD.new_zeros(B, G, D, v_BGSE.shape[-1], dtype=wide)
    return LinearState(values, values.new_zeros(B, G, D))


def scan(
    q_BHTD: Tensor,
    k_BGSD: Tensor,
    v_BGSE: Tensor,
    state: LinearState | None = None,
    *,
    keep: Tensor | None = None,
    query_keep: Tensor | None = None,
) -> tuple[Tensor, LinearState]:
    """out_BHTE of causal linear attention, and the state behind the last key, from which the next call goes on.

    The last query stands at the last key. Token by token or all at once, the answers are the same, and gradients flow
    through the state. `keep` (B, S) and `query_keep` (B, T) are True for what is real.

    Raises: ValueError where the state is not one of these heads and widths, or queries begin before a given state ends.
    Source: Katharopoulos et al. (2020), Transformers are RNNs, eq. 16 to 20.
    Cost: 2 D E + 64 (D + E) multiply-adds a token and head; memory T x E and D x E.
    """
    before = q_BHTD.shape[2] - k_BGSD.shape[2]
    if state is None:
        state = initial_state(k_BGSD, v_BGSE)
    else:
        expected = (*k_BGSD.shape[:2], k_BGSD.shape[3], v_BGSE.shape[3])
        if state.values_BGDE.shape != expected:
            raise ValueError(f"a state must be {expected} for these keys; got {tuple(state.values_BGDE.shape)}")
        if before > 0:
            raise ValueError(f"{before} queries stand before the first new key; give them to the call with their keys")
    if before > 0:
        # Queries before the first key see nothing.
        q_BHTD = q_BHTD[:, :, before:]
        query_keep = None if query_keep is None else query_keep[:, before:]
    tensors = (q_BHTD, k_BGSD, v_BGSE, state.values_BGDE, state.keys_BGD)
    out, values, keys = _Scanned.apply(keep, query_keep, *tensors)
    return F.pad(out, (0, 0, before, 0)) if before > 0 else out, LinearState(values, keys)


def step(
    q_BH1D: Tensor, k_BG1D: Tensor, v_BG1E: Tensor, state: LinearState, keep: Tensor | None = None
) -> tuple[Tensor, LinearState]:
    """out_BH1E of the next token alone, and the state behind it.

    Raises: ValueError where there is more than one token.
    Cost: 2 D E multiply-adds a head, however many tokens came before.
    """
    if q_BH1D.shape[2] != 1 or k_BG1D.shape[2] != 1:
        raise ValueError(f"a step is one token; got {q_BH1D.shape[2]} queries and {k_BG1D.shape[2]} keys: call scan")
    return scan(q_BH1D, k_BG1D, v_BG1E, state, keep=keep, query_keep=keep)


class _Scanned(torch.autograd.Function):
    """(out_BHTE, values, keys); backwards the state is made again, and what later tokens ask of it goes the other way.

    With P = d_out / divisor and p = -P . out: d_phi_q = P state^T + p keys, d_phi_k = v R^T + r and d_v = phi_k R,
    where R = sum_t phi_q P^T and r = sum_t phi_q p over the queries at or behind the key.
    """

    @staticmethod
    def forward(ctx: Any, keep: Tensor | None, query_keep: Tensor | None, *tensors: Tensor) -> tuple[Tensor, ...]:
        q, k, v, values, keys = tensors
        line = _Line(q, k, v, keep, query_keep)
        with torch.autocast(q.device.type, enabled=False):
            out = values.new_empty(*q.shape[:3], v.shape[3])
            inverse = values.new_empty(*q.shape[:3], 1)

            def keep_chunk(start: int, stop: int, rows: Tensor, inverse_rows: Tensor) -> None:
                line.put(out, start, stop, rows)
                line.put(inverse, start, stop, inverse_rows)

            values, keys = _read(line, values, keys, keep_chunk)
        ctx.keep, ctx.query_keep = keep, query_keep
        ctx.save_for_backward(*tensors, out, inverse)
        return out.to(v.dtype), values, keys

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, values, keys, out, inverse = ctx.saved_tensors
        line = _Line(q, k, v, ctx.keep, ctx.query_keep)
        with torch.autocast(out.device.type, enabled=False):
            if torch.is_grad_enabled():
                return None, None, *_twice(line, (q, k, v, values, keys), grads, ctx.needs_input_grad[2:])
            asked = _Asked(line, grads[0], out, inverse)
            d_q = _to_queries(line, asked, values, keys)
            return None, None, d_q, *_to_keys(line, asked, *grads[1:])


@dataclass(frozen=True, eq=False)
class _Line:
    """The tensors of a scan, read and written by chunks of (B x G, tokens of a group's heads, width)."""

    q: Tensor
    k: Tensor
    v: Tensor
    keep: Tensor | None
    query_keep: Tensor | None

    @property
    def ahead(self) -> int:
        """Keys before the first query."""
        return self.k.shape[2] - self.q.shape[2]

    def chunks(self) -> list[tuple[int, int]]:
        """First key and the one behind the last of each chunk; none reaches over the first query."""
        spans = ((0, self.ahead), (self.ahead, self.k.shape[2]))
        return [(start, min(start + CHUNK, last)) for first, last in spans for start in range(first, last, CHUNK)]

    def keys(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """phi(k) and v, zero at padding."""
        hidden = None if self.keep is None else ~self.keep[:, start:stop]
        phi, v = (_real(x, hidden) for x in (features(_wide(self.k, start, stop)), _wide(self.v, start, stop)))
        return phi.flatten(0, 1), v.flatten(0, 1)

    def queries(self, start: int, stop: int) -> Tensor:
        """phi(q) of the queries that stand at these keys, zero at padding."""
        hidden = None if self.query_keep is None else ~self.query_keep[:, start - self.ahead : stop - self.ahead]
        return self._grouped(_real(features(_wide(self.q, start - self.ahead, stop - self.ahead)), hidden))

    def of(self, x_BHTE: Tensor, start: int, stop: int) -> Tensor:
        """The rows of the queries that stand at these keys."""
        return self._grouped(_wide(x_BHTE, start - self.ahead, stop - self.ahead))

    def put(self, x_BHTE: Tensor, start: int, stop: int, rows: Tensor) -> None:
        """Writes what `of` would read."""
        some = x_BHTE[:, :, start - self.ahead : stop - self.ahead]
        some.copy_(rows.reshape(some.shape))

    def _grouped(self, x_BHCD: Tensor) -> Tensor:
        B, G = self.k.shape[:2]
        return x_BHCD.reshape(B * G, -1, x_BHCD.shape[-1])


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is asked of each query's numerator, P, and of its divisor, p = -P . out."""

    line: _Line
    grad: Tensor
    out: Tensor
    inverse: Tensor

    def of(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """P and p of the queries that stand at these keys; zero where a query sees nothing."""
        grad, out, inverse = (self.line.of(x, start, stop) for x in (self.grad, self.out, self.inverse))
        grad = grad * inverse
        return grad, -(grad * out).sum(-1, keepdim=True)


def _wide(x_BHLD: Tensor, start: int, stop: int) -> Tensor:
    # Sums over thousands of tokens are kept in at least float32.
    return x_BHLD[:, :, start:stop].to(torch.promote_types(x_BHLD.dtype, torch.float32))


def _real(x_BHCD: Tensor, hidden_BC: Tensor | None) -> Tensor:
    return x_BHCD if hidden_BC is None else x_BHCD.masked_fill(hidden_BC[:, None, :, None], 0.0)


def _earlier(pairs_NRC: Tensor) -> Tensor:
    """Pairs of a chunk with zeros where the key is later; the heads of a group stand behind one another."""
    N, _, C = pairs_NRC.shape
    return pairs_NRC.view(N, -1, C, C).tril_().view(pairs_NRC.shape)


def _read(
    line: _Line, values_BGDE: Tensor, keys_BGD: Tensor, each: Callable[[int, int, Tensor, Tensor], None]
) -> tuple[Tensor, Tensor]:
    """The state behind the line; `each` is given every chunk's rows and the inverse of their divisors."""
    values, keys = values_BGDE.flatten(0, 1), keys_BGD.flatten(0, 1)
    for start, stop in line.chunks():
        phi_k, v = line.keys(start, stop)
        if start >= line.ahead:
            phi_q = line.queries(start, stop)
            pairs = _earlier(phi_q @ phi_k.mT)
            total = pairs.sum(-1, keepdim=True) + phi_q @ keys[:, :, None]
            empty = total == 0
            inverse = total.masked_fill(empty, 1.0).reciprocal().masked_fill(empty, 0.0)
            each(start, stop, torch.baddbmm(pairs @ v, phi_q, values) * inverse, inverse)
        values, keys = torch.baddbmm(values, phi_k.mT, v), keys + phi_k.sum(1)
    return values.view(values_BGDE.shape), keys.view(keys_BGD.shape)


def _to_queries(line: _Line, asked: _Asked, values_BGDE: Tensor, keys_BGD: Tensor) -> Tensor:
    """d_q, forwards through the line."""
    d_q = torch.empty_like(line.q)
    values, keys = values_BGDE.flatten(0, 1), keys_BGD.flatten(0, 1)
    for start, stop in line.chunks():
        phi_k, v = line.keys(start, stop)
        if start >= line.ahead:
            grad, over = asked.of(start, stop)
            grad_phi = torch.baddbmm(grad @ values.mT, over, keys[:, None, :])
            grad_phi = grad_phi.baddbmm_(_earlier(torch.baddbmm(over, grad, v.mT)), phi_k)
            line.put(d_q, start, stop, grad_phi.mul_(_slope(line.queries(start, stop))))
        values, keys = torch.baddbmm(values, phi_k.mT, v), keys + phi_k.sum(1)
    return d_q


def _to_keys(line: _Line, asked: _Asked, later_BGDE: Tensor, more_BGD: Tensor) -> tuple[Tensor, ...]:
    """d_k, d_v, and the gradients of the state before the first key, backwards through the line."""
    d_k, d_v = torch.empty_like(line.k), torch.empty_like(line.v)
    later, more = later_BGDE.flatten(0, 1), more_BGD.flatten(0, 1)
    for start, stop in reversed(line.chunks()):
        phi_k, v = line.keys(start, stop)
        grad_phi, grad_v = torch.baddbmm(more[:, None, :], v, later.mT), phi_k @ later
        if start >= line.ahead:
            grad, over = asked.of(start, stop)
            phi_q = line.queries(start, stop)
            grad_phi.baddbmm_(_earlier(torch.baddbmm(over, grad, v.mT)).mT, phi_q)
            grad_v.baddbmm_(_earlier(phi_q @ phi_k.mT).mT, grad)
            later, more = torch.baddbmm(later, phi_q.mT, grad), more + (phi_q.mT @ over).squeeze(-1)
        grad_phi.mul_(_slope(phi_k))
        for x, some in ((d_k, grad_phi), (d_v, grad_v)):
            x[:, :, start:stop] = some.view(*x.shape[:2], stop - start, -1)
    return d_k, d_v, later.view(later_BGDE.shape), more.view(more_BGD.shape)


def _slope(phi: Tensor) -> Tensor:
    """phi'(x) from phi(x) = elu(x) + 1: exp(x) below zero, 1 above; zero where padding was hidden."""
    return phi.clamp(max=1.0)


def _twice(
    line: _Line, tensors: tuple[Tensor, ...], grads: tuple[Tensor, ...], wanted: tuple[bool, ...]
) -> list[Tensor | None]:
    """Gradients that can be differentiated again, through every chunk's own operations, kept."""
    q, _, v, values, keys = tensors
    chunks = [values.new_zeros(*q.shape[:2], 0, v.shape[3])]

    def keep_chunk(start: int, stop: int, rows: Tensor, _: Tensor) -> None:
        chunks.append(rows.reshape(*q.shape[:2], stop - start, -1))

    values, keys = _read(line, values, keys, keep_chunk)
    results = (torch.cat(chunks, dim=2).to(v.dtype), values, keys)
    # Without keys the state comes back as it was given, and may need no gradient at all.
    told = [(result, grad) for result, grad in zip(results, grads, strict=True) if result.requires_grad]
    leaves = [x for x, one in zip(tensors, wanted, strict=True) if one]
    found = iter(
        torch.autograd.grad(
            [x for x, _ in told], leaves, [grad for _, grad in told], create_graph=True, allow_unused=True
        )
    )
    return [next(found) if one else None for one in wanted]
