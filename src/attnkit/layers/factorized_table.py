"""FactorizedTable: a table of vectors as the product of a narrow table and a map."""

from torch import Tensor, nn


class FactorizedTable(nn.Module):
    """x = B A[ids], with A (V, R) and B (M, R): V R + M R numbers in place of V M.

    Source: Lan et al. 2020 (ALBERT), section 3.1.
    """

    def __init__(self, rows_VR: nn.Parameter, up_MR: nn.Parameter, padding_idx: int | None) -> None:
        super().__init__()
        (count, rank), width = rows_VR.shape, up_MR.shape[0]
        self.num_embeddings = count
        self.rows = nn.Embedding(count, rank, padding_idx=padding_idx, device="meta")
        self.rows.weight = rows_VR
        self.up = nn.Linear(rank, width, bias=False, device="meta")
        self.up.weight = up_MR

    def forward(self, ids: Tensor) -> Tensor:
        x: Tensor = self.up(self.rows(ids))
        return x
