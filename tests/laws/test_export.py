"""Every catalogue line exported with dynamic batch, queries and keys gives the same numbers at other sizes."""

import pytest
import torch
from torch.export import export

from attnkit.attention.catalogue import CATALOGUE
from tests.laws.exported import OTHERS, TRACED, Mixed, inputs, open_sizes


@pytest.mark.parametrize("name", CATALOGUE)
def test_exported_with_dynamic_sizes_it_answers_as_before(name):
    module = Mixed(CATALOGUE[name].operator).eval()
    exported = export(module, inputs(*TRACED), dynamic_shapes=open_sizes()).module()
    for sizes in [TRACED, *OTHERS]:
        given = inputs(*sizes)
        with torch.no_grad():
            torch.testing.assert_close(
                exported(*given), module(*given), rtol=1e-5, atol=1e-5, msg=f"differs at B, T, S = {sizes}"
            )
            if sizes[0] > 1:
                assert (exported(*given)[0] == 0).all(), sizes
