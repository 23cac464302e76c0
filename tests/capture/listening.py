"""What the tests of recording share: a model with and without a capture around it."""

from typing import Any

import torch
from torch import Tensor, nn

from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.capture.record import capture

# What rounding leaves between two float32 maps.
CLOSE = 1e-5


def recorded(model: nn.Module, *args: Any, level: Any = "full", **inputs: Any) -> Capture:
    """The capture of one forward pass, whose answers were held to those without it, bit for bit."""
    with torch.no_grad():
        before = model(*args, **inputs)
        with capture(model, level) as seen:
            heard = model(*args, **inputs)
    expected, got = tensors(before), tensors(heard)
    assert len(expected) == len(got) > 0
    for one, other in zip(expected, got, strict=True):
        assert torch.equal(one, other)
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())
    return seen


def tensors(x: Any) -> list[Tensor]:
    """The tensors of a model's answer."""
    if isinstance(x, Tensor):
        return [x]
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, list | tuple) else ()
    return [found for part in parts for found in tensors(part)]


def map_of(layer: CapturedLayer) -> Tensor:
    """A_BHTS, of a capture at level "full"."""
    assert layer.seen is not None
    return layer.seen.matrix()


def assert_proved(seen: Capture) -> None:
    """The check of every layer was made, and holds."""
    for one in seen.layers:
        assert one.check.error is not None and one.check.error < CLOSE, (one.name, one.check)


class ByHand(nn.Module):
    """Attention as textbooks write it."""

    def __init__(self, folded: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.project, self.folded = nn.Linear(16, 48), folded
        self.softmax, self.dropout = nn.Softmax(dim=-1), nn.Dropout(dropout)
        self.map: Tensor | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        B, T, M = x.shape
        q, k, v = (one.view(B, T, 4, 4).transpose(1, 2) for one in self.project(x).chunk(3, -1))
        scores = q @ k.mT + torch.arange(T) * 0.1
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        if self.folded:
            scores, v = scores.flatten(0, 1), v.flatten(0, 1)
        weights = self.dropout(self.softmax(scores))
        self.map = weights.view(B, 4, T, T)
        mixed = torch.bmm(weights, v) if self.folded else weights @ v
        return mixed.reshape(B, 4, T, 4).transpose(1, 2).reshape(B, T, M)
