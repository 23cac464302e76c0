"""Decide: the roles of the heads of one call."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from attnkit.capture.captured import Kind
from attnkit.capture.roles.blocks import keys_seen, map_blocks, visible_blocks
from attnkit.capture.roles.delimiter import Delimiter
from attnkit.capture.roles.diagonal import Diagonal
from attnkit.capture.roles.diffuse import Diffuse
from attnkit.capture.roles.duplicate import Duplicate
from attnkit.capture.roles.examples import with_examples
from attnkit.capture.roles.induction import Induction
from attnkit.capture.roles.local import Local
from attnkit.capture.roles.next import Next
from attnkit.capture.roles.previous import Previous
from attnkit.capture.roles.role import Found, Measured, Role
from attnkit.capture.roles.scene import Scene
from attnkit.capture.roles.score import RoleScore, ranked
from attnkit.capture.roles.segment import Segment
from attnkit.capture.roles.sink import Sink
from attnkit.capture.roles.stripe import Stripe
from attnkit.capture.roles.tally import tally
from attnkit.kernels.functionals import exact
from attnkit.layers.taps import Seen

ROLES: tuple[Role, ...] = (
    Sink(),
    Previous(),
    Next(),
    Diagonal(),
    Local(),
    Segment(),
    Delimiter(),
    Duplicate(),
    Induction(),
    Stripe(),
    Diffuse(),
)
NOTHING = "no query of this input could show it"


def roles_of(
    seen: Seen,
    tokens: Sequence[Sequence[str]] | None = None,
    kind: Kind = "self",
    *,
    query_tokens: Sequence[Sequence[str]] | None = None,
    entropy_BHT: Tensor | None = None,
) -> list[list[RoleScore]]:
    """Every role of every head of a call, named ones first, then by strength; any operator, no map.

    `tokens` are those of the keys, a list an item, as many as the keys or as the real ones; without them what goes by
    tokens is left undecided. `query_tokens` name the queries in examples where they are not keys themselves.
    `entropy_BHT` is the entropy of each row in nats where it has been counted already.

    Raises: ValueError where tokens and keys are not as many.
    Cost: one pass over the map in blocks; beside it 2 multiply-adds a pair and head, 4 more with tokens, and a
        logarithm where no entropy is given; memory T x 25 numbers a head.
    """
    return _roles_of(seen.q_BHTD, seen, tokens, kind, query_tokens, entropy_BHT)


@exact
def _roles_of(
    q_BHTD: Tensor,
    seen: Seen,
    tokens: Sequence[Sequence[str]] | None,
    kind: Kind,
    query_tokens: Sequence[Sequence[str]] | None,
    entropy_BHT: Tensor | None,
) -> list[list[RoleScore]]:
    H = q_BHTD.shape[1]
    if not seen.spec.claims().nonnegative:
        return undecided(H, "weights of this operator may be negative, and so are no shares")
    if not (q_BHTD.shape[0] and seen.where.T and seen.where.S):
        return undecided(H, NOTHING)
    scene = Scene.of(seen, tokens, kind, query_tokens)
    counted = scene.real_BT & (keys_seen(seen) >= 2)
    free = tally(scene, visible_blocks(seen), 1, counted, entropy=False, seeing=True)
    here = tally(scene, map_blocks(seen), H, counted, entropy=entropy_BHT is None)
    if entropy_BHT is not None:
        here = replace(here, entropy_BHT=entropy_BHT.float())
    found = Found(scene, here, free, counted)
    heads: list[list[RoleScore]] = [[] for _ in range(H)]
    for role in ROLES:
        reason = role.undecided(scene)
        measured = None if reason else role.measure(found)
        for head in range(H):
            heads[head].append(_scored(role, measured, head, reason))
    heads = [ranked(scores) for scores in heads]
    return with_examples(seen, found, {role.name: role for role in ROLES}, heads)


def undecided(heads: int, reason: str) -> list[list[RoleScore]]:
    """Every role of every head, none of them decided."""
    return [[RoleScore(role.name, role.threshold, reason=reason) for role in ROLES] for _ in range(heads)]


def _scored(role: Role, measured: Measured | None, head: int, reason: str | None) -> RoleScore:
    bare = RoleScore(role.name, role.threshold, reason=reason)
    return bare if measured is None else filled(bare, *(x[:, head] for x in vars(measured).values()))


def filled(bare: RoleScore, score_B: Tensor, chance_B: Tensor, queries_B: Tensor) -> RoleScore:
    """The role's numbers over the items that have queries to show it."""
    there = queries_B > 0
    if not bool(there.any()):
        return replace(bare, reason=NOTHING)
    score, chance, queries = (x[there].double() for x in (score_B, chance_B, queries_B))
    whole = queries.sum()
    return replace(
        bare,
        score=float((score * queries).sum() / whole),
        chance=float((chance * queries).sum() / whole),
        mean=float(score.mean()),
        spread=float(score.std()) if len(score) > 1 else 0.0,
        n=len(score),
        queries=int(whole),
    )
