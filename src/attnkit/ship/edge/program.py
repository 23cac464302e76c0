"""A network of one fixed length, as a program that converters read."""

import io
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attnkit.errors import UsageError
from attnkit.model.wide import WideNgrams
from attnkit.ship.network import Shipped, Traced


class OneRow(nn.Module):
    """Logits (1, C), and the weights of the pooling (1, T) where it gives them, of ids (1, T), int32, 0 where nothing
    stands.

    No id of a text is 0, so that what is real need not be told beside it; graphs of small devices have no 64-bit ids.
    """

    def __init__(self, inner: Shipped) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids_1T: Tensor) -> tuple[Tensor, ...]:
        """(logits,) or (logits, weights)."""
        wide_1T = ids_1T.long()
        return self.inner(wide_1T, wide_1T != 0)


def programs(traced: Traced, lengths: Sequence[int]) -> dict[int, bytes]:
    """An exported program for each length.

    Raises: UsageError where the network has two lengths or a wide branch, or torch.export refuses it.
    """
    if any(isinstance(module, WideNgrams) for module in traced.module.modules()):
        raise UsageError(
            "this model cannot be shipped to runtimes of small devices: its wide branch looks n-grams up by 64-bit "
            "keys, which they cannot sort; train it with model.wide_ngrams = 0, or ship it to onnx"
        )
    if traced.module.hierarchical:
        raise UsageError(
            "this model cannot be shipped to runtimes of fixed sizes: it reads sentences of words, which have two "
            "lengths; ship it to onnx"
        )
    found = {}
    for length in lengths:
        ids_1T = torch.zeros(1, length, dtype=torch.int32)
        ids_1T[0, : max(1, length // 2)] = 3
        try:
            with torch.no_grad():
                program = torch.export.export(OneRow(traced.module).eval(), (ids_1T,))
        except Exception as error:
            # torch.export raises whatever the network or its own analysis stumbled on.
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise UsageError(f"this model cannot be shipped, as torch.export refuses it: {reason}") from error
        held = io.BytesIO()
        torch.export.save(program, held)
        found[length] = held.getvalue()
    return found
