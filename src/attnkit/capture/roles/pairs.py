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
    """The pairs of these queries and keys, ready to be summed over for any head."""
    assert scene.segment_BS is not None
    kept: list[Tensor | tuple[Tensor, Tensor] | None] = []
    # A text of one piece leaves nothing to choose between.
    one_piece = int(scene.segment_BS[item].max()) == 0
    for name in RELATIONS:
        if one_piece and name in ("segment", "moved"):
            kept.append(None)
            continue
        mask = pairs(scene, name, item, rows, columns)
        if int(mask.count_nonzero()) <= FEW * mask.numel():
            flat = mask.flatten().nonzero().squeeze(-1)
            kept.append((flat, flat // mask.shape[1]))
        else:
            kept.append(mask[:, None].float())
    return Related((item, rows, columns), tuple(kept))


def pairs(scene: Scene, name: str, item: int, rows: slice, columns: slice) -> Tensor:
    """True where the pair is in the relation, (R, C)."""
    assert scene.near_BTN is not None and scene.asking_BT is not None and scene.moved_BS is not None
    assert scene.id_BS is not None and scene.before_BS is not None and scene.segment_BS is not None
    own = scene.near_BTN[item, rows, NEAR_TOKENS]
    if name in ("segment", "moved"):
        piece = (scene.segment_BS if name == "segment" else scene.moved_BS)[item]
        mine = piece[own.clamp(min=0)].masked_fill(own < 0, -1)
        return piece[columns] == mine[:, None]
    # A query's own key would be a duplicate, and the one after it an induction, of themselves.
    told, itself = (scene.id_BS, ()) if name == "duplicate" else (scene.before_BS, (1,))
    mask = told[item, columns] == scene.asking_BT[item, rows, None]
    for step in (0, *itself):
        key = scene.near_BTN[item, rows, NEAR_TOKENS + step]
        inside = ((key >= columns.start) & (key < columns.stop)).nonzero().squeeze(-1)
        mask[inside, key[inside] - columns.start] = False
    return mask
