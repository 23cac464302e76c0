"""Gradient x attention: each weight times what the prediction would gain from more of it, without a map."""

import torch
from torch import Tensor

from attnkit.attention.heads import share_heads
from attnkit.errors import UsageError
from attnkit.kernels.functionals import column_functional
from attnkit.layers.taps import Seen
from attnkit.see.explain.attribution import Attribution, Found, attributed
from attnkit.see.explain.listen import listening
from attnkit.see.explain.target import Item, Subject, Target


def explain(subject: Subject, item: Item, *, target: Target | None = None) -> Attribution:
    """score_s = sum over layers, heads and queries t of A_ts df/dA_ts, with f the log-odds.

    As out_t = sum_s A_ts v_s, df/dA_ts = df/dout_t . v_s, so that score_s = v_s . sum_t A_ts df/dout_t: values times
    what flows back to them, and no map is built. Weights speak for positions: where an encoder stands below, what it
    carried there from other tokens counts for the token it carried it to.

    Raises: UsageError where no attention can be listened to, or none reads the text's own positions.
    Source: Chefer, Gur and Wolf 2021, equation 5, with signs kept and layers added up.
    Cost: one forward and one backward pass, and about one more call of each attention.
    """

    def work(target: Target) -> Found:
        ids_1T = subject.ids_1T(item)
        leaves = [x.requires_grad_() for x in subject.embedded(ids_1T)]
        with torch.enable_grad(), listening(subject.network) as seen:
            value = subject.values(subject.logits_of(ids_1T, leaves), target.index).sum()
        slopes = torch.autograd.grad(value, [one.out_BHTE for one in seen], allow_unused=True)
        parts = [flow(one, slope)[0] for one, slope in zip(seen, slopes, strict=True) if slope is not None]
        parts = reading(parts, item.T, seen)
        return torch.stack(parts).sum(0), f"{len(parts)} attention layers, all heads", {"layers": float(len(parts))}

    return attributed("gradient_attention", subject, item, target, work)


def flow(seen: Seen, slope_BHTE: Tensor) -> Tensor:
    """sum over heads and queries of A_ts df/dA_ts, (B, S), with `slope` = df/dout."""
    params = {name: value.detach() for name, value in seen.params.items()}
    q, k = seen.q_BHTD.detach(), seen.k_BGSD.detach()
    back_BHSE = column_functional(q, k, slope_BHTE, seen.spec, where=seen.where, params=params, state=seen.state)
    v_BHSE = share_heads(seen.v_BGSE.detach(), q.shape[1])
    return (back_BHSE.double() * v_BHSE.double()).sum((1, 3))


def reading(parts: list[Tensor], T: int, seen: list[Seen]) -> list[Tensor]:
    """The parts that have a number for each of at least T tokens, cut to them.

    Raises: UsageError where there is none.
    """
    fitting = [part[:T] for part in parts if part.shape[0] >= T]
    if not fitting:
        keys = sorted({one.where.S for one in seen})
        raise UsageError(f"no attention reads the {T} tokens of this text (they read {keys} keys); use another method")
    return fitting
