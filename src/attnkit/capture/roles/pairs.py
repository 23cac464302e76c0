"""Pairs of tokens in a relation: of one piece of text, the same token, the token after the same one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.roles.scene import NEAR_TOKENS, Scene

# The relations that a pair may be in, in the order of `Tally.related_BHTN`.
RELATIONS = ("segment", "moved", "duplicate", "induction")
# Where fewer than this part of the pairs are in a relation, they are looked up one by one: most tokens are rare.
FEW = 0.1


@dataclass(frozen=True, eq=False)
class Related:
    """The pairs of one block in each of RELATIONS: a mask (R, 1, C), the places of the few there are, None for none.

    `place` is (item, rows, columns); (flat, row) are the indices in the block, and of the row, of each pair.
    """

    place: tuple[int, slice, slice] | None
    relations: tuple[Tensor | tuple[Tensor, Tensor] | None, ...]

    def shares(self, weights_HRC: Tensor) -> Tensor:
        """The sum of each row's weights over the keys in each relation, (H, R, RELATIONS)."""
        H, R, _ = weights_HRC.shape
        flat = weights_HRC.reshape(H, -1)
        found = weights_HRC.new_zeros(H, R, len(RELATIONS))
        for place, relation in enumerate(self.relations):
            if isinstance(relation, tuple):
                few, row = relation
                found[..., place].index_add_(1, row, flat[:, few])
            elif relation is not None:
                found[..., place] = torch.bmm(relation, weights_HRC.permute(1, 2, 0)).squeeze(1).mT
        return found


NO_PAIRS = Related(None, ())


def related_at(scene: Scene, item: int, rows: slice, columns: slice) -> Related:
    """The pairs of these queries and keys, ready to be summed over for any head.

    Cost: one search a query, and as many numbers as there are pairs, where these are few; else a mask of the block.
    """
    assert scene.segment_BS is not None
    kept: list[Tensor | tuple[Tensor, Tensor] | None] = []
    # A text of one piece leaves nothing to choose between.
    one_piece = int(scene.segment_BS[item].max()) == 0
    for name in RELATIONS:
        if one_piece and name in ("segment", "moved"):
            kept.append(None)
        else:
            few = _few(scene, name, item, rows, columns)
            kept.append(pairs(scene, name, item, rows, columns)[:, None].float() if few is None else few)
    return Related((item, rows, columns), tuple(kept))


def pairs(scene: Scene, name: str, item: int, rows: slice, columns: slice) -> Tensor:
    """True where the pair is in the relation, (R, C)."""
    asked, told, others = _labels(scene, name, item)
    mask = told[columns] == asked[rows, None]
    for other in others:
        key = other[rows]
        inside = ((key >= columns.start) & (key < columns.stop)).nonzero().squeeze(-1)
        mask[inside, key[inside] - columns.start] = False
    return mask


def _labels(scene: Scene, name: str, item: int) -> tuple[Tensor, Tensor, list[Tensor]]:
    """What each query (T,) asks for and each key (S,) is told by, and keys (T,) that do not count for their query."""
    assert scene.near_BTN is not None and scene.asking_BT is not None and scene.moved_BS is not None
    assert scene.id_BS is not None and scene.before_BS is not None and scene.segment_BS is not None
    own, following = (scene.near_BTN[item, :, NEAR_TOKENS + step] for step in (0, 1))
    if name in ("segment", "moved"):
        piece = (scene.segment_BS if name == "segment" else scene.moved_BS)[item]
        return piece[own.clamp(min=0)].masked_fill(own < 0, -1), piece, []
    # A query's own key would be a duplicate, and the one after it an induction, of themselves.
    if name == "duplicate":
        return scene.asking_BT[item], scene.id_BS[item], [own]
    return scene.asking_BT[item], scene.before_BS[item], [own, following]


def _few(scene: Scene, name: str, item: int, rows: slice, columns: slice) -> tuple[Tensor, Tensor] | None:
    """Places in the block, and rows, of its pairs; None where they are not few."""
    asked, told, others = _labels(scene, name, item)
    if (item, name) not in scene.sorted:
        scene.sorted[item, name] = told.sort(stable=True)
    ordered, order = scene.sorted[item, name]
    first, last = (torch.searchsorted(ordered, asked[rows], right=right) for right in (False, True))
    count = last - first
    R, C = count.shape[0], columns.stop - columns.start
    if int(count.sum()) > FEW * R * C:
        return None
    row = torch.arange(R, device=count.device).repeat_interleave(count)
    within = torch.arange(len(row), device=count.device) - (count.cumsum(0) - count)[row]
    key = order[first[row] + within]
    counts = (key >= columns.start) & (key < columns.stop)
    for other in others:
        counts &= key != other[rows][row]
    row, key = row[counts], key[counts]
    return row * C + key - columns.start, row
