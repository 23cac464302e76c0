"""Attention rollout: where the prediction's own reading leads, layer under layer."""

import torch
from torch import Tensor

from attnkit.errors import UsageError
from attnkit.kernels.functionals import column_functional, row_functional
from attnkit.layers.taps import Seen
from attnkit.see.explain.attribution import Attribution, Found, attributed
from attnkit.see.explain.listen import listening
from attnkit.see.explain.target import Item, Reads, Subject, Target


def explain(subject: Subject, item: Item, *, target: Target | None = None) -> Attribution:
    """score = x (I + A_L)/2 ... (I + A_1)/2, with A_l the mean map of layer l's heads, and x what reads the last layer.

    x is the pooling's own row where there is one, else the position that the subject's logits are read from. A row
    vector goes down through the layers one functional of columns at a time, so that no map is built or multiplied. Rows
    that do not sum to one are scaled to.

    Raises: UsageError where no attention can be listened to, or the layers are not those of one row of tokens.
    Source: Abnar and Zuidema 2020, equation 1 and section 3.
    Cost: a forward pass, and about one more call of each attention.
    """

    def work(target: Target) -> Found:
        seen = heard(subject, item)
        x_1T, layers = start(seen, subject.reads)
        for one in reversed(layers):
            x_1T = 0.5 * x_1T + 0.5 * led(one, x_1T)
        note = f"{len(layers)} layers under what reads them; says where attention leads, not for or against what"
        return x_1T[0], note if layers else "no attention under the pooling: its own weights", {}

    return attributed("rollout", subject, item, target, work)


def heard(subject: Subject, item: Item) -> list[Seen]:
    """The attention calls of one text."""
    with torch.no_grad(), listening(subject.network) as seen:
        subject.called(subject.ids_1T(item))
    return seen


def start(seen: list[Seen], reads: Reads) -> tuple[Tensor, list[Seen]]:
    """What reads the topmost layer, as (1, T), and the layers of self-attention under it; the mean of several poolings.

    Raises: UsageError where layers read different numbers of tokens.
    """
    last = seen[-1]
    # Poolings of one row of tokens stand side by side, and each has its say in the answer.
    pooled = next(
        (n for n, one in enumerate(reversed(seen)) if not (_pools(one) and one.where.S == last.where.S)), len(seen)
    )
    layers = seen[: len(seen) - pooled]
    lengths = {length for one in layers for length in (one.where.T, one.where.S)} | {last.where.S}
    if len(lengths) > 1:
        raise UsageError(f"rollout needs layers over one row of tokens; these read {sorted(lengths)}; take another way")
    if pooled:
        tops = [led(one, one.q_BHTD.new_full((1, one.where.T), 1.0 / one.where.T)) for one in seen[-pooled:]]
        return torch.stack(tops).mean(0), layers
    T = last.where.T
    x_1T = last.q_BHTD.new_zeros(1, T)
    keep = last.where.keep
    real = T if keep is None else int(keep[0].sum())
    if reads == "mean":
        x_1T[:, :real] = 1.0 / max(1, real)
    else:
        x_1T[:, 0 if reads == "first" else real - 1] = 1.0
    return x_1T, layers


def _pools(one: Seen) -> bool:
    return one.where.T != one.where.S or one.k_BGSD is one.v_BGSE


def led(seen: Seen, x_1T: Tensor) -> Tensor:
    """sum_t x_t A_ts / sum_u A_tu, the mean over heads, (1, S)."""
    call = {"where": seen.where, "params": seen.params, "state": seen.state}
    asked_1HT1 = x_1T[:, None, :, None].expand(-1, seen.q_BHTD.shape[1], -1, -1)
    if not seen.spec.claims().rows_sum_to_one:
        ones = x_1T.new_ones(seen.where.S, 1)
        total = row_functional(seen.q_BHTD, seen.k_BGSD, ones, seen.spec, **call)  # type: ignore[arg-type]
        asked_1HT1 = asked_1HT1 / total.masked_fill(total == 0, 1.0)
    read = column_functional(seen.q_BHTD, seen.k_BGSD, asked_1HT1, seen.spec, **call)  # type: ignore[arg-type]
    return read.mean(1).squeeze(-1)
