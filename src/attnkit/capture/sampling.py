"""A sample of queries, and how far what is counted on it may be off."""

import torch
from torch import Tensor

from attnkit.capture.captured import CapturedLayer
from attnkit.capture.statistics import STATISTICS


def sampled(T: int, real_BT: Tensor | None, rows: int | None) -> Tensor | None:
    """Indices of `rows` of T queries, evenly spread over those that are real in some item; None where that is all.

    Raises: ValueError where `rows` is below one.
    """
    if rows is None:
        return None
    if rows < 1:
        raise ValueError(f"rows must be at least 1, or None for all queries; got {rows}")
    there = torch.arange(T) if real_BT is None else real_BT.any(0).cpu().nonzero().flatten()
    if rows >= len(there):
        return None
    # The middles of equal stretches, in whole numbers, so that every machine takes the same queries.
    return there[(2 * torch.arange(rows) + 1) * len(there) // (2 * rows)]


def sampling_error(layer: CapturedLayer) -> dict[str, Tensor]:
    """The standard error of each statistic's mean over an item's real queries, (B, H); zeros where all were taken.

    s / sqrt(n) sqrt(1 - n / N) with s the standard deviation over the n queries taken, of N. It is that of a sample
    drawn blindly; an evenly spread one is seldom further off, unless the text repeats itself in step with it.
    Source: Cochran (1977), Sampling techniques, eq. 2.20.
    """
    found: dict[str, Tensor] = {}
    keep = torch.ones(layer.batch, layer.T, dtype=torch.bool) if layer.query_keep is None else layer.query_keep
    of_sample = keep if layer.rows is None else keep[:, layer.rows]
    n, N = of_sample.sum(-1)[:, None].double(), keep.sum(-1)[:, None].double()
    counted = of_sample[:, None].double()
    for name, value in layer.statistics.items():
        if STATISTICS[name].axis == "key":
            continue
        if layer.rows is None:
            found[name] = value.new_zeros(value.shape[:2])
            continue
        x = value.double()
        mean = (x * counted).sum(-1) / n.clamp(min=1.0)
        variance = ((x - mean[..., None]).square() * counted).sum(-1) / (n - 1.0).clamp(min=1.0)
        error = (variance / n.clamp(min=1.0) * (1.0 - n / N.clamp(min=1.0)).clamp(min=0.0)).sqrt()
        # One query says nothing of how others differ.
        found[name] = error.masked_fill((n < 2) & (n < N), float("nan")).float()
    return found


def sampling_note(layer: CapturedLayer) -> str | None:
    """A sentence for whoever looks at numbers of a sample; None where every query was taken."""
    if layer.rows is None:
        return None
    errors = sampling_error(layer)
    if "entropy" in errors:
        typical = f"; the mean entropy of a head is known to ± {1.96 * float(errors['entropy'].nanmean()):.2g} nats"
    else:
        typical = ""
    return (
        f"{layer.name}: {len(layer.rows)} of {layer.T} queries were taken, evenly spread{typical}. "
        "The pooled map is the mean over those taken"
    )
