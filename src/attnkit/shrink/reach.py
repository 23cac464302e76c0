"""How far the heads of each layer look: the narrowest window that little weight lies beyond."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attnkit.attention.pairwise import Pairwise
from attnkit.capture.measure import rows as map_rows
from attnkit.layers import AttentionLayer, tapped
from attnkit.model.changes.base import layers_of, layers_path
from attnkit.train.preprocessing import Ids, Preprocessing


def beyond(network: nn.Module, prepare: Preprocessing, items: Sequence[Ids]) -> dict[int, Tensor]:
    """By layer, (H, D + 1): the share of each head's weight that lies d tokens away or further, d = 0..D.

    The mean over all tokens of `items`, each text (where hierarchical, each sentence) by itself, the longest of D;
    layers without an attention over pairs are left out.
    """
    path = layers_path(network)
    names = {
        f"{path}{number}.attention": number
        for number, layer in enumerate(layers_of(network))
        if isinstance(layer.get_submodule("attention"), AttentionLayer)
    }
    rows: list[tuple[Ids, int]] = [(item, len(item)) for item in items]
    if prepare.hierarchical:
        rows = [([part], len(part)) for item in items for part in item if isinstance(part, list)]
    longest = max((count for _, count in rows), default=0)
    sums: dict[int, Tensor] = {}
    tokens = 0
    with torch.inference_mode():
        for item, count in rows:
            if not count:
                continue
            with tapped(network) as seen:
                network(*prepare.collate([item]))
            tokens += count
            for one in seen:
                number = names.get(one.name)
                if number is None or not isinstance(one.spec, Pairwise):
                    continue
                weights_HTS = map_rows(one, range(count))[0, :, :, :count].abs()
                place = torch.arange(count)
                distance_TS = (place - place.unsqueeze(1)).abs()
                held = sums.setdefault(number, torch.zeros(weights_HTS.shape[0], longest + 1, dtype=torch.float64))
                flat = distance_TS.flatten().expand(weights_HTS.shape[0], -1)
                held.scatter_add_(1, flat, weights_HTS.flatten(1).double())
    # From weight at a distance to weight at that distance and beyond.
    return {number: held.flip(1).cumsum(1).flip(1) / tokens for number, held in sums.items()}


def window_for(beyond_HD: Tensor, share: float, causal: bool) -> int:
    """The least width, in tokens, of a window beyond which no head puts more than `share` of its weight."""
    worst_D = beyond_HD.amax(0)
    # A window that ends r tokens away loses what lies r + 1 away and beyond.
    reach = next((r for r in range(len(worst_D) - 1) if float(worst_D[r + 1]) <= share), len(worst_D) - 1)
    return reach + 1 if causal else 2 * reach + 1
