"""attend: any operator on q, k and v, on the best kernel that fits."""

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Params
from attnkit.attention.where import Where
from attnkit.kernels.execute import planned, wants_gradients
from attnkit.kernels.kernel import Call
from attnkit.kernels.lowered import lowered
from attnkit.kernels.opaque import is_traced, run_opaque
from attnkit.kernels.situation import INTENTS

VASWANI = Pairwise()


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    spec: Attention = VASWANI,
    *,
    where: Where | None = None,
    keep: Tensor | None = None,
    params: Params | None = None,
    state: Tensor | None = None,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
    kernel: str = "auto",
    intent: str = "train",
) -> Tensor:
    """out_BHTE = A_BHTS(q, k) @ v for any attention `spec`; scaled dot with softmax where none is given.

    q is (B, H, T, D), k (B, G, S, D), v (B, G, S, E) with G dividing H. `keep` (B, S) is True for real keys; for
    more (positions, documents, padded queries) give a `where` instead. `params` holds what the operator learns, by
    dotted name (`init_params(spec, dims)` makes fresh ones). `dropout` falls on the weights. `kernel` is "auto" or a
    kernel's name, which then must fit. Under autocast q, k and v are taken, and out_BHTE given, in autocast's type.

    Raises: ValueError where shapes, masks or options do not fit together; KeyError where a parameter is missing.
    Warns: DenseMapWarning, once for an operator and kernel, where a large map of T x S would be kept.
    """
    unsaid = where is None and keep is None and not params and state is None and dropout == 0.0
    if unsaid and kernel == "auto" and intent in INTENTS and _is_plain(q, k, v, spec):
        return F.scaled_dot_product_attention(q, k, v)
    if not isinstance(spec, Attention):
        raise ValueError(f"spec must be an Attention, such as Pairwise() or named('vaswani'); got {spec!r}")
    where = _where(q, k, v, where, keep)
    if not torch.compiler.is_exporting():
        _check_batch(where, q.shape[0])
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout must be in [0, 1); got {dropout}")
    params = params or {}
    if not torch.compiler.is_compiling() and 0 in (*q.shape[:3], k.shape[2]):
        return _nothing(q, k, v)
    needs_grad, learns = wants_gradients(q, k, v, params)
    call = lowered(Call(q, k, v, where, params, state, dropout, generator))
    in_program = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
    if in_program and not is_traced(spec, call, kernel):
        return run_opaque(spec, call, kernel, intent, needs_grad, learns)
    return planned(spec, call, kernel, intent, needs_grad, learns)


def _is_plain(q: Tensor, k: Tensor, v: Tensor, spec: Attention) -> bool:
    """True for the commonest call of all, which every plan gives to torch's kernel: a cold processor takes as long to
    plan it as to attend 100 tokens to one another.
    """
    return (
        spec == VASWANI
        and q.dim() == 4
        and q.shape == k.shape == v.shape
        and q.dtype == k.dtype == v.dtype
        and (q.dtype != torch.bfloat16 or torch.cpu._is_amx_tile_supported())
        and q.numel() > 0
        and not torch.is_autocast_enabled(q.device.type)
    )


def _where(q: Tensor, k: Tensor, v: Tensor, where: Where | None, keep: Tensor | None) -> Where:
    """The given `where`, or one made of `keep`, once the shapes are known to agree."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.dim() != 4:
            raise ValueError(f"{name} must have 4 axes (batch, heads, tokens, width); got shape {tuple(x.shape)}")
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(f"q, k and v must be of one type; got {q.dtype}, {k.dtype} and {v.dtype}")
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"q and k must have one head width; got {q.shape[-1]} and {k.shape[-1]}")
    if k.shape[:3] != v.shape[:3]:
        raise ValueError(f"k and v must agree in batch, heads and tokens; got {tuple(k.shape)} and {tuple(v.shape)}")
    if q.shape[0] != k.shape[0]:
        raise ValueError(f"q and k must have one batch size; got {q.shape[0]} and {k.shape[0]}")
    if q.shape[1] % k.shape[1]:
        raise ValueError(f"{q.shape[1]} query heads cannot share {k.shape[1]} key/value heads; give a divisor")
    if where is None:
        return Where.of(q.shape[2], k.shape[2], keep=keep, device=q.device)
    if keep is not None:
        raise ValueError("give keep inside where, not beside it: Where.of(T, S, keep=keep, ...)")
    if q.shape[2] != where.T or k.shape[2] != where.S:
        raise ValueError(f"where is for {where.T} queries and {where.S} keys; got {q.shape[2]} and {k.shape[2]}")
    return where


def _nothing(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Zeros for no queries, or for queries without a single key, through which gradients of zero flow."""
    empty = q.sum() if q.numel() == 0 else k.sum() + v.sum()
    return (v.new_zeros(*q.shape[:3], v.shape[3]) + empty).to(v.dtype)


def _check_batch(where: Where, batch: int) -> None:
    """Refuse what is for another number of items than q is."""
    for name in ("keep", "query_keep", "lengths", "query_position", "key_position", "query_document", "key_document"):
        x = getattr(where, name)
        items = 1 if x is None or (x.dim() == 1 and name != "lengths") else x.shape[0]
        if items not in (1, batch):
            raise ValueError(f"{name} is for {items} items; q has {batch}: give one row for all, or one an item")
