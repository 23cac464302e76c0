"""Value zeroing: a token keeps its place in every map, and gives nothing there."""

import torch
from torch import Tensor

from attnkit.errors import UsageError
from attnkit.see.explain.attribution import Attribution, Found, attributed
from attnkit.see.explain.listen import changed
from attnkit.see.explain.target import TOKENS_A_CALL, Item, Subject, Target


def explain(subject: Subject, item: Item, *, target: Target | None = None) -> Attribution:
    """score_s = f(text) - f(text with v_s = 0 in every head of every attention), f in log-odds.

    Weights stay as they are, those of layers above a changed one aside. What reaches the prediction by other ways than
    an attention (a mean or maximum beside the pooling, residual connections) stays too.

    Raises: UsageError where no attention can be listened to, or one reads other tokens than the text's.
    Source: Mohebbi et al. 2023, equations 3 and 4, with the change of the prediction in place of that of each token's
    representation.
    Cost: T forward passes, in batches.
    """

    def work(target: Target) -> Found:
        lost = [target.value - _without(subject, item, some, target.index).double() for some in _places(subject, item)]
        return torch.cat(lost), "log-odds lost without what attention reads at the token", {}

    return attributed("value_zeroing", subject, item, target, work)


def _places(subject: Subject, item: Item) -> tuple[Tensor, ...]:
    return torch.arange(item.T, device=subject.device).split(max(1, TOKENS_A_CALL // item.T))


def _without(subject: Subject, item: Item, place_N: Tensor, index: int) -> Tensor:
    """f with the values of one token at zero, a row for each of the places."""

    def zero(name: str, v_BGSE: Tensor) -> Tensor:
        if v_BGSE.shape[2] < item.T or v_BGSE.shape[0] != len(place_N):
            raise UsageError(
                f"the attention {name} reads {v_BGSE.shape[2]} keys of {v_BGSE.shape[0]} texts where the text has "
                f"{item.T} tokens, so that none is a token's; use another method"
            )
        gone_NS = torch.arange(v_BGSE.shape[2], device=v_BGSE.device) == place_N[:, None]
        return v_BGSE.masked_fill(gone_NS[:, None, :, None], 0.0)

    with torch.no_grad(), changed(subject.network, values=zero):
        return subject.values(subject.called(subject.ids_1T(item).expand(len(place_N), -1)), index)
