"""Whole maps of single heads, made again from queries and keys, for as long as there is room in a page."""

from collections.abc import Callable, Sequence
from typing import Any

from attnkit.capture.captured import CapturedLayer
from attnkit.page.quantize import Packed, pack

_MOST_WEIGHTS = 1 << 22


def exact_rows(
    layers: Sequence[CapturedLayer],
    facts: list[dict[str, Any]],
    add: Callable[[Packed], dict[str, Any]],
    room: int,
    said: list[str],
    wanted: Sequence[tuple[str, int]] | None,
) -> int:
    """The bytes that were added: the maps of the heads `wanted`, or of any there is room for, in 16 bits each.

    Only layers captured at level "full" can give them; the page says which wanted one is missing, and why.
    """
    used = 0
    for layer, told in zip(layers, facts, strict=True):
        heads = range(layer.heads) if wanted is None else [head for name, head in wanted if name == layer.name]
        for head in heads:
            if str(head) in told["exact"]:
                continue
            size = layer.batch * layer.T * layer.S
            # A map of softmax in 16 bits deflates to half at best: what is larger than that is not made at all.
            if layer.seen is None or size > min(_MOST_WEIGHTS, 4 * (room - used)):
                if wanted is not None:
                    why = "was captured without queries and keys" if layer.seen is None else "does not fit"
                    said.append(f"The whole map of {layer.name}, head {head}, is not in this page: it {why}.")
                continue
            packed = _map(layer, head)
            if used + len(packed.data) > room:
                if wanted is not None:
                    said.append(f"The whole map of {layer.name}, head {head}, is not in this page: it does not fit.")
                continue
            told["exact"][str(head)] = add(packed)
            used += len(packed.data)
    return used


def _map(layer: CapturedLayer, head: int) -> Packed:
    import torch

    from attnkit.capture.measure import rows

    assert layer.seen is not None
    A_BHTS = rows(layer.seen, torch.arange(layer.T), (head,))
    weights = A_BHTS[:, 0].detach().cpu().float().numpy()
    signed = bool(weights.size) and bool(weights.min() < 0)
    return pack(weights, 16, log=not signed, level=9)
