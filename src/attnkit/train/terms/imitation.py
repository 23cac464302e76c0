"""Imitation of a teacher inside the network: its summary of a text, and where its pooling looks."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.errors import UsageError
from attnkit.layers.taps import Seen
from attnkit.model.summary import Summary
from attnkit.train.lessons import Lessons
from attnkit.train.terms.hearing import map_of

NAME = "imitation"
# A student may give a word no weight at all, which no divergence forgives.
LEAST = 1e-6


class Imitation(nn.Linear):
    """W of W s, from the student's summary of a text to the teacher's; it ends with the training."""


def attach_imitation(model: nn.Module, width: int) -> None:
    """Give `model` a projection of its summary to `width`, from torch's generator, to be trained with it."""
    own = [module for module in model.modules() if isinstance(module, Summary)][-1].width
    # Inside the head it moves at the head's rate, and is in the optimizer, the checkpoint and what processes share.
    model.get_submodule("head").add_module(NAME, Imitation(own, width, bias=False))


def own_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without those of an attached projection."""
    return {name: value for name, value in weights.items() if f".{NAME}." not in name}


@contextmanager
def summarized(model: nn.Module) -> Iterator[list[Tensor]]:
    """What the last Summary of `model` gives, (B, W) a call, while the block runs."""
    found: list[Tensor] = []
    last = [module for module in model.modules() if isinstance(module, Summary)][-1]
    hook = last.register_forward_hook(lambda module, given, out: found.append(out))
    try:
        yield found
    finally:
        hook.remove()


def hidden_distance(model: nn.Module, summaries: Sequence[Tensor], lessons: Lessons, rows: Sequence[int]) -> Tensor:
    """The mean over rows of |W s / |W s| - t / |t||^2, s the student's summary of a text and t the teacher's.

    Source: Sun et al. (2019), Patient knowledge distillation, equation 7; W, Romero et al. (2015), equation 3.
    """
    assert lessons.summaries is not None
    project = next(module for module in model.modules() if isinstance(module, Imitation))
    with torch.autocast(summaries[-1].device.type, enabled=False):
        own = project(summaries[-1].to(project.weight.dtype))
        said = lessons.summaries[list(rows)].to(own)
        return (F.normalize(own, dim=-1) - F.normalize(said, dim=-1)).square().sum(-1).mean()


def check_shares(pooling: Seen) -> None:
    """Hold a pooling to weights that can be read as shares.

    Raises: UsageError where they may be negative.
    """
    if not pooling.spec.claims().nonnegative:
        raise UsageError(
            f"the pooling {pooling.spec} may have weights below zero, which are no shares of a text; set "
            "distill.attention_weight = 0 or choose another pooling"
        )


def attention_distance(seen: Sequence[Seen], lessons: Lessons, rows: Sequence[int]) -> Tensor:
    """The mean over rows of KL(t || s), t and s what the poolings of teacher and student put on each unit of a text.

    Both are means over heads and queries, made to sum to one over the units; a row without any counts for nothing. A
    pooling gives every text one distribution over its words whatever reads them, so that any two mechanisms compare.

    Raises: UsageError where the pooling was not heard.
    Source: Jiao et al. (2020), section 3.1, there of maps of equal shape and with squared differences.
    """
    assert lessons.looks is not None
    poolings = [one for one in seen if one.name.endswith("summary.pooling")]
    if not poolings:
        raise UsageError("the pooling of a packed batch is not heard; set train.batches = 'sorted' to imitate it")
    check_shares(poolings[-1])
    looks = [lessons.looks[row] for row in rows]
    units = max(1, *(len(look.weights) for look in looks))
    weights_BT = map_of(poolings[-1]).mean((1, 2))
    said_BU = weights_BT.new_zeros(len(looks), units)
    owner_BT = torch.full(weights_BT.shape, units, dtype=torch.int64)
    for row, look in enumerate(looks):
        said_BU[row, : len(look.weights)] = look.weights.to(said_BU)
        owner_BT[row, : len(look.owner)] = look.owner.masked_fill(look.owner == len(look.weights), units)
    own_BU = weights_BT.new_zeros(len(looks), units + 1).scatter_add(1, owner_BT, weights_BT)[:, :units]
    p_BU = said_BU / said_BU.sum(-1, keepdim=True).clamp(min=LEAST)
    q_BU = own_BU / own_BU.sum(-1, keepdim=True).clamp(min=LEAST)
    away_BU = torch.special.xlogy(p_BU, p_BU) - p_BU * q_BU.clamp(min=LEAST).log()
    counted_B = said_BU.sum(-1) > 0
    return (away_BU.sum(-1) * counted_B).sum() / counted_B.sum().clamp(min=1)
