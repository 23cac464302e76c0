"""The rows of a part in batches of texts of like length."""

from collections.abc import Iterator

from torch import Tensor

from attnkit.data.batches import bucket_batches
from attnkit.shrink.parent import Part
from attnkit.train.preprocessing import Preprocessing

BATCH_ROWS = 64


def batches(
    part: Part, prepare: Preprocessing, rows: int = BATCH_ROWS
) -> Iterator[tuple[tuple[Tensor, Tensor], Tensor]]:
    """What a network is called with, and the targets of its rows."""
    for numbers in bucket_batches(prepare.lengths(part.items), rows, shuffle=False):
        yield prepare.collate([part.items[number] for number in numbers]), part.targets[numbers]
