"""register: any operator as the attention of an unmodified Hugging Face model."""

import dataclasses
import re
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.attention.catalogue import CATALOGUE, named
from attnkit.attention.part import Dims
from attnkit.attention.pattern import Causal, Full
from attnkit.attention.where import Where
from attnkit.kernels.attend import attend
from attnkit.layers.model_mask import Meeting, as_boolean, placed, recognize, remember, remembered
from attnkit.layers.model_operator import Wishes, asked, reads_other_queries, within
from attnkit.layers.parameter_tree import ParameterTree
from attnkit.layers.taps import tell

PREFIX = "attnkit:"
# What some models hand to their attention beside the mask, and which changes the answer.
_REFUSED = ("head_mask", "indices", "block_indices", "sinks", "cache")


def register(name: str | None = None, spec: Attention | None = None) -> tuple[str, ...]:
    """Put operators behind transformers' attention interface, each with its mask; give their names back.

    Without arguments the whole catalogue, as `attnkit:<name>`; with a name that line of it; with a name and a `spec`
    that operator. `AutoModel.from_pretrained(..., attn_implementation="attnkit:bigbird")` then runs it in an unmodified
    model, on its weights. The model's own mask, scale, dropout, soft cap, sinks and bias are honored or refused; the
    operator's pattern falls within the model's mask. Registering again changes nothing.

    What an operator learns is held by each attention module, as `attnkit_<name>` (dots in it become _, and each _ two):
    the first call makes it, which must be under `torch.no_grad()`, so that no optimizer has been made without it.

    Raises: ImportError where transformers is absent; ValueError for a name that is taken or cannot be one, for an
        operator that reads the map of the layer below; or where the catalogue has no such line.
    """
    if name is None:
        if spec is not None:
            raise ValueError(f"an operator is registered under a name: register('mine', {spec})")
        chosen = {line: entry.operator for line, entry in CATALOGUE.items() if not entry.operator.needs_state}
    else:
        chosen = {name: _checked(name, spec if spec is not None else named(name))}
    models, masks = _library("modeling_utils"), _library("masking_utils")
    for key, operator in chosen.items():
        models.AttentionInterface.register(PREFIX + key, ModelAttention(key, operator))
        # A name without its mask function would be called with no mask at all, causal models included.
        masks.AttentionMaskInterface.register(PREFIX + key, partial(model_mask, masks))
    return tuple(PREFIX + key for key in chosen)


def _checked(name: str, spec: Attention) -> Attention:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"a name is letters, digits, -, _ and dots, since parameters carry it; got {name!r}")
    if name in CATALOGUE and spec != CATALOGUE[name].operator:
        raise ValueError(f"{name!r} is a line of the catalogue; give your operator another name")
    if not isinstance(spec, Attention):
        raise ValueError(f"an operator must be an Attention, such as Pairwise(...); got {spec!r}")
    if spec.needs_state:
        raise ValueError(f"{spec} reads the map of the layer below, which a model of transformers does not hand on")
    return spec


def _library(module: str) -> Any:
    """A module of transformers, which is no dependency of ours."""
    try:
        return import_module(f"transformers.{module}")
    except ImportError as error:
        raise ImportError(f"attnkit.register needs transformers 5: pip install 'attnkit[hf]' ({error})") from None


def model_mask(
    library: Any,
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int | Tensor = 0,
    kv_offset: int = 0,
    mask_function: Any = None,
    attention_mask: Tensor | None = None,
    device: torch.device | str = "cpu",
    **others: Any,
) -> Tensor:
    """The model's mask as booleans (B, 1, T, S) that carry, as their attribute `attnkit`, the meeting they stand for.

    `library` is transformers' masking_utils, whose arguments these are.

    Booleans, because a model may cut or join its masks; what has lost the attribute on the way is recognized again.

    Raises: ValueError where no pattern says what the model wants.
    """
    keep = None
    if attention_mask is not None:
        missing = kv_length + kv_offset - attention_mask.shape[-1]
        keep = nn.functional.pad(attention_mask, (0, max(missing, 0))).bool()[:, kv_offset : kv_offset + kv_length]
        if not torch.compiler.is_compiling() and bool(keep.all()):
            keep = None
    where = placed(q_length, kv_length, q_offset, kv_offset, keep, device)
    causal = mask_function is library.causal_mask_function
    if causal or mask_function is library.bidirectional_mask_function:
        meeting = Meeting(Causal() if causal else Full(), where)
        mask = meeting.allowed_BTS()
    else:
        mask = library.sdpa_mask(
            batch_size=batch_size,
            q_length=q_length,
            kv_length=kv_length,
            q_offset=q_offset,
            kv_offset=kv_offset,
            mask_function=mask_function,
            attention_mask=attention_mask,
            device=device,
            **others | {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False},
        )[:, 0]
        meeting = _recognized(mask, where)
    mask = mask.expand(batch_size, q_length, kv_length)[:, None]
    if not where.aligned:
        # Generation with a static cache takes `mask.contiguous()`, and a copy would carry no meeting.
        mask = mask.contiguous()
    remember(mask, meeting)
    return mask


def _recognized(mask_BTS: Tensor, where: Where) -> Meeting:
    meeting = recognize(mask_BTS, where)
    if meeting is None:
        raise ValueError(
            "this model's mask is neither causal, a window, packed documents nor padding, and no pattern here says it; "
            "run the model with its own attention"
        )
    return meeting


@dataclass(frozen=True)
class ModelAttention:
    """An operator in the place where a model calls its attention: q (B, H, T, D), k (B, G, S, D), v (B, G, S, E).

    Gives out_BTHE, and the map A_BHTS where the call says `output_attentions=True`.

    Raises: ValueError where the operator cannot do what the model asks.
    """

    name: str
    spec: Attention

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        dropout: float = 0.0,
        scaling: float | None = None,
        is_causal: bool | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        position_bias: Tensor | None = None,
        sliding_window: int | None = None,
        **others: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """One layer's attention."""
        try:
            for wish in _REFUSED:
                if others.get(wish) is not None:
                    raise ValueError(f"this model steers its attention by {wish}, which no operator here reads")
            meeting = _meeting(module, query, key, attention_mask, is_causal, sliding_window)
            spec = within(self.spec, meeting.pattern)
            self._check_cache(spec, query, key, meeting)
            where = _with_queries(module, spec, meeting)
            wishes = Wishes(scaling, softcap, s_aux, *_bias(position_bias, meeting, key.shape[2]))
            spec, params = asked(spec, self._parameters(module, query, value), wishes, query.shape[-1])
            out = attend(
                query,
                key,
                value,
                spec,
                where=where,
                params=params,
                dropout=dropout if module.training else 0.0,
            )
        except ValueError as error:
            raise ValueError(f"{PREFIX}{self.name} in {type(module).__name__}: {error}") from error
        tell(module, spec, query, key, value, where, params, out)
        weights = spec.matrix(query, key, where, params) if others.get("output_attentions") else None
        return out.transpose(1, 2).contiguous(), weights

    def _check_cache(self, spec: Attention, query: Tensor, key: Tensor, meeting: Meeting) -> None:
        # A decoder that sees more keys than queries is reading a cache.
        reason = spec.refuses_cache() if meeting.pattern.causal and query.shape[2] != key.shape[2] else None
        if reason:
            raise ValueError(f"it cannot be decoded step by step: {reason}; generate with use_cache=False")

    def _parameters(self, module: nn.Module, query: Tensor, value: Tensor) -> dict[str, Tensor]:
        """What the operator learns, held by the module that calls it."""
        dims = Dims(query.shape[1], query.shape[3], value.shape[3])
        held = "attnkit_" + self.name.replace("_", "__").replace(".", "_")
        if held not in module._modules:
            if not self.spec.parameters(dims):
                return {}
            if torch.is_grad_enabled():
                raise ValueError(
                    "it learns parameters, which its first call makes; call the model once under torch.no_grad() "
                    "before its optimizer is made"
                )
            own = next(module.parameters(), query)
            module.add_module(held, ParameterTree(self.spec, dims).to(own.device, own.dtype))
        tree = module._modules[held]
        assert isinstance(tree, ParameterTree)
        return tree.flat()


def _with_queries(module: nn.Module, spec: Attention, meeting: Meeting) -> Where:
    """Where, with the queries that are padding too, for an operator that reads them.

    A mask of transformers tells which keys are padding; queries are the same tokens in self-attention alone, and a
    module does not say that it is that: only a model without cross-attention is sure to have no other.
    """
    where, config = meeting.where, getattr(module, "config", None)
    if where.keep is None or meeting.pattern.causal or not reads_other_queries(spec):
        return where
    crosses = config is None or config.is_encoder_decoder or getattr(config, "add_cross_attention", False)
    if crosses or where.T != where.S:
        raise ValueError(
            "it reads other queries, and which of them are padding this model does not say; use no padding"
        )
    return dataclasses.replace(where, query_keep=where.keep)


def _bias(bias: Tensor | None, meeting: Meeting, keys: int) -> tuple[Tensor | None, Tensor | None]:
    """The bias that a model adds to its scores, and the positions of its first query and key."""
    if bias is None:
        return None, None
    where = meeting.where
    if where.query_position.dim() != 1:
        raise ValueError("this model adds a bias to packed documents, whose positions begin anew; give it one a row")
    return bias[..., :keys], torch.stack((where.query_position[0], where.key_position[0]))


def _meeting(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    is_causal: bool | None,
    window: int | None,
) -> Meeting:
    """Which pairs the model lets meet."""
    T, S = query.shape[2], key.shape[2]
    if mask is None:
        causal = bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)
        if window is not None and window < S:
            raise ValueError(f"this model asks for a window of {window} tokens and hands no mask in that says which")
        # Without a mask transformers means top-left: the first query stands at the first key.
        first = 0 if causal and T > 1 else S - T
        return Meeting(Causal() if causal and T > 1 else Full(), placed(T, S, first, 0, None, query.device))
    meeting = remembered(mask)
    if meeting is None:
        allowed = as_boolean(mask)
        meeting = _recognized(
            allowed.expand(-1, T, -1), placed(T, allowed.shape[-1], allowed.shape[-1] - T, 0, None, mask.device)
        )
        remember(mask, meeting)
    where = meeting.where
    if (where.T, where.S) != (T, S):
        raise ValueError(f"the model's mask is for {where.T} queries and {where.S} keys; it has {T} and {S}")
    if where.keep is not None and where.keep.shape[0] != query.shape[0]:
        where = dataclasses.replace(where, keep=where.keep.expand(query.shape[0], -1))
    return Meeting(meeting.pattern, where)
