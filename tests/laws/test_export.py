"""Every catalogue line exported with dynamic batch, queries and keys gives the same numbers at other sizes."""

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from attnkit.attention.catalogue import CATALOGUE
from attnkit.attention.laws.subject import random_params
from attnkit.attention.part import Dims
from attnkit.attention.where import Where

DIMS = Dims(heads=2, width=8, value_width=6)
TRACED = (3, 5, 7)
# Linformer, location and learned positions are built for at most 512 keys, and so every line is asked for that many.
OTHERS = [(2, 9, 4), (4, 12, 12), (1, 1, 6), (1, 3, 1), (2, 40, 90)]


class Mixed(nn.Module):
    """An operator around tensors that are all arguments, as a serving program would call it."""

    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        generator = torch.Generator().manual_seed(0)
        drawn = random_params(spec, DIMS, generator, torch.float32)
        self.names = list(drawn)
        self.values = nn.ParameterList([nn.Parameter(value) for value in drawn.values()])

    def forward(self, q: Tensor, k: Tensor, v: Tensor, keep: Tensor, document: Tensor) -> Tensor:
        T, S = q.shape[2], k.shape[2]
        where = Where.of(T, S, keep=keep, query_document=torch.zeros_like(q[:, 0, :, 0]).long(), key_document=document)
        params = dict(zip(self.names, self.values, strict=True))
        state = self.spec.matrix(q.roll(1, -1), k.flip(-1), where, params) if self.spec.needs_state else None
        return self.spec.mix(q, k, v, where, params, state)


def inputs(batch: int, T: int, S: int) -> tuple[Tensor, ...]:
    """Normal tensors; the first item sees nothing at all, the others have holes."""
    generator = torch.Generator().manual_seed(batch + T + S)
    q = torch.randn(batch, 2, T, 8, generator=generator)
    k, v = torch.randn(batch, 2, S, 8, generator=generator), torch.randn(batch, 2, S, 6, generator=generator)
    keep = torch.rand(batch, S, generator=generator) < 0.7
    keep[0] = batch == 1
    document = (torch.arange(S) // 6).expand(batch, S).contiguous()
    return q, k, v, keep, document


@pytest.mark.parametrize("name", CATALOGUE)
def test_exported_with_dynamic_sizes_it_answers_as_before(name):
    module = Mixed(CATALOGUE[name].operator).eval()
    batch, queries, keys = Dim("batch", min=1), Dim("queries", min=1), Dim("keys", min=1, max=512)
    shapes = (
        {0: batch, 2: queries},
        {0: batch, 2: keys},
        {0: batch, 2: keys},
        {0: batch, 1: keys},
        {0: batch, 1: keys},
    )
    exported = export(module, inputs(*TRACED), dynamic_shapes=shapes).module()
    for sizes in [TRACED, *OTHERS]:
        given = inputs(*sizes)
        with torch.no_grad():
            torch.testing.assert_close(
                exported(*given), module(*given), rtol=1e-5, atol=1e-5, msg=f"differs at B, T, S = {sizes}"
            )
            if sizes[0] > 1:
                assert (exported(*given)[0] == 0).all(), sizes
