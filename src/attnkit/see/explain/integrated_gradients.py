"""Integrated gradients: the slopes along the way from a blank text to this one, added up."""

import torch
from torch import Tensor

from attnkit.errors import UsageError
from attnkit.see.explain.attribution import Attribution, Found, attributed
from attnkit.see.explain.gradient_input import gradients, sum_over_width
from attnkit.see.explain.target import TOKENS_WITH_GRADIENTS, Item, Subject, Target

POINTS = 32


def explain(subject: Subject, item: Item, *, target: Target | None = None, points: int = POINTS) -> Attribution:
    """score_t = sum_m (x_tm - x'_tm) integral_0^1 df/dx_tm(x' + a (x - x')) da, at the midpoints of `points` intervals.

    x' are the embeddings of the blank text: every token that can be taken away is. Were the integral exact, scores
    would add up to f(text) - f(blank); by how much they do not is `gap` in the details.

    Raises: UsageError where `points` is below one.
    Source: Sundararajan, Taly and Yan 2017, equations 1 and 3.
    Cost: `points` forward and backward passes, in batches.
    """
    if points < 1:
        raise UsageError(f"points must be at least 1; got {points}")

    def work(target: Target) -> Found:
        ids_1T, blank_1T = subject.ids_1T(item), subject.blank_1T(item)
        ends, starts = subject.embedded(ids_1T), subject.embedded(blank_1T)
        ways = [end - start for end, start in zip(ends, starts, strict=True)]
        share_P = (torch.arange(points, device=ids_1T.device, dtype=torch.float32) + 0.5) / points
        slopes = [torch.zeros_like(way) for way in ways]
        for share_B in share_P.split(max(1, TOKENS_WITH_GRADIENTS // item.T)):
            for total, found in zip(slopes, _slopes(subject, ids_1T, starts, ways, share_B, target.index), strict=True):
                total += found / points
        scores_T = sum_over_width(ways, slopes)[0]
        before = float(subject.values(subject.answers(blank_1T), target.index)[0])
        worth = target.value - before
        gap = float(scores_T[: item.T].sum()) - worth
        note = f"scores add up to what the text is worth over a blank one, {worth:.3g}, but for {gap:.2g}"
        return scores_T, note, {"gap": gap, "difference": worth, "points": float(points)}

    return attributed("integrated_gradients", subject, item, target, work)


def _slopes(
    subject: Subject, ids_1T: Tensor, starts: list[Tensor], ways: list[Tensor], share_B: Tensor, index: int
) -> list[Tensor]:
    """df/dx summed over the points `share_B` of the way."""
    inputs = [start + share_B[:, None, None].to(way) * way for start, way in zip(starts, ways, strict=True)]
    found = gradients(subject, ids_1T.expand(len(share_B), -1), inputs, index)
    return [slope.sum(0, keepdim=True) for slope in found]
