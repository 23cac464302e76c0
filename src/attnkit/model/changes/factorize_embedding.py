"""Factorize the embedding: a table of vectors as the product of a narrow table and a map."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from attnkit.layers.factorized_table import FactorizedTable
from attnkit.model.changes.calibrated import Calibrated, Feed, second_moments
from attnkit.model.changes.places import put, refuse_language, table


@dataclass(frozen=True)
class FactorizeEmbedding(Calibrated):
    """Put E ~ A B of rank r in the place of the table at `module`: A (V, r) holds what E says in r directions, B.

    The directions are those that lose least of the rows of E, each counted as often as it is read where `texts` above 0
    training texts are looked at, and once otherwise.

    Raises: ValueError where no table stands there, or the rank is not below its width.
    Source: Lan et al. 2020 (ALBERT), section 3.1; weighed by how often words stand, Chen et al. 2018 (GroupReduce).
    """

    kind: ClassVar[str] = "factorize_embedding"
    stage: ClassVar[int] = 1

    rank: int
    module: str = "embedding.rows"
    texts: int = 0

    def __post_init__(self) -> None:
        if self.rank < 1 or self.texts < 0:
            raise ValueError(
                f"factorize_embedding needs a rank of at least 1 and texts of at least 0; got {self.rank} and "
                f"{self.texts}"
            )

    def apply(self, network: nn.Module) -> None:
        """Factor the table by itself."""
        self._make(network, None)

    def apply_over(self, network: nn.Module, feed: Feed) -> None:
        """Factor it by the rows that are read."""
        if not self.texts:
            return self.apply(network)
        rows: dict[str, nn.Module] = {self.module: table(network, self.module)}
        found = second_moments(rows, lambda: feed(network, self.texts), outputs=True)
        self._make(network, found[self.module])
        return None

    def _make(self, network: nn.Module, second_MM: Tensor | None) -> None:
        refuse_language(network)
        whole = table(network, self.module)
        count, width = whole.weight.shape
        if self.rank >= width:
            raise ValueError(f"{self.module} is {width} wide, and a rank of {self.rank} takes nothing from it")
        weight_VM, learns = whole.weight.detach(), whole.weight.requires_grad
        if weight_VM.is_meta:
            rows_VR, up_MR = weight_VM.new_empty(count, self.rank), weight_VM.new_empty(width, self.rank)
        else:
            rows_VR, up_MR = _factored(weight_VM, self.rank, second_MM)
        made = FactorizedTable(nn.Parameter(rows_VR, learns), nn.Parameter(up_MR, learns), whole.padding_idx)
        put(network, self.module, made)


def _factored(weight_VM: Tensor, rank: int, second_MM: Tensor | None) -> tuple[Tensor, Tensor]:
    wide_VM = weight_VM.double()
    if second_MM is None:
        second_MM = wide_VM.T @ wide_VM
    # Eigenvalues rise: the last directions hold most.
    up_MR = torch.linalg.eigh(second_MM).eigenvectors[:, -rank:]
    return (wide_VM @ up_MR).to(weight_VM.dtype).contiguous(), up_MR.to(weight_VM.dtype).contiguous()
