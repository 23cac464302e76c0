"""Other people's attention, called the way the laws call: `call(fn, q_BHTD, k_BHSD, v_BHSE, where) -> out_BHTE`."""

import torch
from torch import Tensor, nn

from attnkit.attention.where import Where


def sdpa(fn, q: Tensor, k: Tensor, v: Tensor, where: Where) -> Tensor:
    """F.scaled_dot_product_attention with a boolean mask, True = keep."""
    mask = None if where.keep is None else where.keep[:, None, None, :]
    return fn(q, k, v, attn_mask=mask)


def sdpa_right_causal(fn, q: Tensor, k: Tensor, v: Tensor, where: Where) -> Tensor:
    """The same with the causal rule written out as positions, aligned bottom-right."""
    mask = where.j <= where.i
    if where.keep is not None:
        mask = mask & where.keep[:, None, None, :]
    return fn(q, k, v, attn_mask=mask)


def sdpa_is_causal(fn, q: Tensor, k: Tensor, v: Tensor, where: Where) -> Tensor:
    """The same with its own flag, which takes no mask beside it."""
    if where.keep is not None:
        raise NotImplementedError("is_causal takes no mask beside it")
    return fn(q, k, v, is_causal=True)


def multihead(weights: bool):
    """nn.MultiheadAttention in training mode, whose mask polarity is the opposite: True = leave out.

    Its path of evaluation is another program.
    """

    def call(fn: nn.MultiheadAttention, q: Tensor, k: Tensor, v: Tensor, where: Where) -> Tensor:
        padding = None if where.keep is None else ~where.keep
        out, _ = fn.train()(_joined(q), _joined(k), _joined(v), key_padding_mask=padding, need_weights=weights)
        return out.unflatten(-1, (fn.num_heads, -1)).transpose(1, 2)

    return call


def plain_multihead(heads: int, width: int) -> nn.MultiheadAttention:
    """nn.MultiheadAttention that projects nothing, so that what is seen is the attention itself."""
    module = nn.MultiheadAttention(heads * width, heads, bias=False, batch_first=True)
    eye = torch.eye(heads * width)
    module.in_proj_weight.data = torch.cat([eye, eye, eye])
    module.out_proj.weight.data = eye.clone()
    return module


def local(fn, q: Tensor, k: Tensor, v: Tensor, where: Where) -> Tensor:
    """local_attention.LocalAttention, made with autopad=True; queries and keys are the same tokens."""
    if where.T != where.S:
        raise NotImplementedError("local-attention takes self-attention alone")
    keep = None if where.keep is None else where.keep.repeat_interleave(q.shape[1], dim=0)
    B, H = q.shape[:2]
    out = fn(*(x.flatten(0, 1) for x in (q, k, v)), mask=keep)
    return out.unflatten(0, (B, H))


def linformer(fn, q: Tensor, k: Tensor, v: Tensor, where: Where) -> Tensor:
    """linformer.LinformerSelfAttention, made by `plain_linformer`, with the mask its signature takes in silence.

    It draws queries, keys and values from one x; three blocks of x, each read by its own projection, set them apart.
    """
    if where.T != where.S:
        raise NotImplementedError("one x gives queries, keys and values")
    out = fn(torch.cat([_joined(q), _joined(k), _joined(v)], dim=-1), mask=where.keep)
    width = q.shape[1] * q.shape[-1]
    return out[..., :width].unflatten(-1, (q.shape[1], -1)).transpose(1, 2)


def plain_linformer(package, heads: int, width: int, max_tokens: int) -> nn.Module:
    """A LinformerSelfAttention over x = (q, k, v) side by side whose projections pick each out unchanged."""
    inner = heads * width
    module = package.LinformerSelfAttention(3 * inner, seq_len=max_tokens, k=4, heads=heads, dim_head=width)
    pick = torch.eye(3 * inner)
    module.to_q.weight.data, module.to_k.weight.data, module.to_v.weight.data = pick.split(inner)
    module.to_out.weight.data = pick[:, :inner].clone()
    module.to_out.bias.data.zero_()
    return module


def layer(fn, q: Tensor, k: Tensor, v: Tensor, where: Where) -> Tensor:
    """An AttentionLayer over queries and a context (k, v) side by side, whose projections pick each out unchanged."""
    out = fn(_joined(q), torch.cat([_joined(k), _joined(v)], dim=-1), where=where)
    return out.unflatten(-1, (q.shape[1], -1)).transpose(1, 2)


def dropped_softmax(q, k, v, where: Where, rate: float, generator: torch.Generator) -> Tensor:
    """Softmax attention with dropout on its weights, drawn from `generator`."""
    weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1)
    keep = torch.rand(weights.shape, generator=generator) >= rate
    return (weights * keep / (1.0 - rate)) @ v


def unscaled_dropout(q, k, v, where: Where, rate: float, generator: torch.Generator) -> Tensor:
    """The same, forgetting to divide by what is kept."""
    weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1)
    return (weights * (torch.rand(weights.shape, generator=generator) >= rate)) @ v


def _joined(x_BHLD: Tensor) -> Tensor:
    return x_BHLD.transpose(1, 2).flatten(2)
