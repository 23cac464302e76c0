"""How evenly attention is spread, as something that can be trained."""

from collections.abc import Sequence

import torch
from torch import Tensor

from attnkit.capture.statistics import tells_who_meets
from attnkit.capture.sweep import met_keys
from attnkit.errors import UsageError
from attnkit.layers.taps import Seen
from attnkit.train.terms.hearing import map_of


def attention_entropy(seen: Sequence[Seen]) -> Tensor:
    """The mean over attention layers, the pooling included, of the mean over heads and rows of H(p_t) / ln n_t.

    p_ts = A_ts / sum_u A_tu, H(p) = -sum_s p_s ln p_s, and n_t is the number of keys that query t may see. Rows of
    padding, and rows that see fewer than two keys, count for nothing. It is 1 where attention is even, 0 where every
    row has one key; dropout on the weights is not part of it.

    Raises: UsageError where nothing was heard, or a layer's weights are no shares or it does not say who meets whom.
    Source: Pereyra et al. (2017), equation 3, there of a model's predictions; of attention, Zhai et al. (2023),
        section 3.
    Cost: the whole map of each layer.
    """
    if not seen:
        raise UsageError(
            "no attention was heard: a packed batch has no maps; set train.batches = 'sorted' to train on the entropy "
            "of attention"
        )
    return torch.stack([_of_layer(one) for one in seen]).mean()


def _of_layer(seen: Seen) -> Tensor:
    if not seen.spec.claims().nonnegative or not tells_who_meets(seen.spec):
        why = "does not say which keys a query sees" if seen.spec.claims().nonnegative else "has weights below zero"
        raise UsageError(
            f"the attention of {seen.name} {why}, so its entropy is not defined; set regularize.attention_entropy = 0 "
            "or choose another operator"
        )
    A_BHTS = map_of(seen)
    p_BHTS = A_BHTS / A_BHTS.sum(-1, keepdim=True).clamp(min=torch.finfo(A_BHTS.dtype).tiny)
    # The logarithm of a zero weight has no gradient that a product with zero could save.
    entropy_BHT = -(p_BHTS * torch.where(p_BHTS > 0, p_BHTS, 1.0).log()).sum(-1)
    n_BHT = met_keys(seen.spec, seen.where, A_BHTS.shape)
    # Padding meets no key.
    counted_BHT = n_BHT > 1
    share_BHT = entropy_BHT / n_BHT.clamp(min=2).log()
    return (share_BHT * counted_BHT).sum() / counted_BHT.sum().clamp(min=1)
