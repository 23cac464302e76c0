"""RoleScore: how far one head does one thing, by how much more than chance, over how much data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

# How rarely as many queries that read at random may score as much: a large model has thousands of heads and roles.
ACCIDENT = 1e-5
# How many examples a role keeps.
EXAMPLES = 3


@dataclass(frozen=True)
class RoleScore:
    """One role of one head.

    `score` and `chance` are means over all queries that could show the role, `queries` of them; `mean` and `spread`
    (standard deviation, 0 of one) are those of the score over the `n` items that have such queries. `examples` are
    dictionaries with item, query, key, query_token, key_token and weight. Where the role could not be decided, `reason`
    says why, and there are no numbers.
    """

    role: str
    threshold: float
    score: float | None = None
    chance: float | None = None
    mean: float | None = None
    spread: float | None = None
    n: int = 0
    queries: int = 0
    examples: tuple[dict[str, object], ...] = ()
    reason: str | None = None

    @property
    def lift(self) -> float | None:
        """(score - chance) / (1 - chance): 0 at chance, 1 at most; None where undecided."""
        if self.score is None or self.chance is None:
            return None
        return (self.score - self.chance) / max(1.0 - self.chance, 1e-9)

    @property
    def strength(self) -> float:
        """The lift in thresholds, by which roles are ranked: 1 where a name begins, minus infinity where undecided."""
        return -math.inf if self.lift is None else self.lift / self.threshold

    @property
    def named(self) -> bool:
        """True where the head gets the role's name: far enough above chance, and not by accident.

        As many queries that each read at random score as much with a probability of at most exp(-queries * KL), KL that
        of a coin of `score` from a coin of `chance`.

        Source: Hoeffding (1963), Probability inequalities for sums of bounded random variables, theorem 1.
        """
        if self.lift is None or self.score is None or self.chance is None or self.lift < self.threshold:
            return False
        return self.queries * _surprise(self.score, self.chance) > -math.log(ACCIDENT)

    def to_dict(self) -> dict[str, object]:
        """Plain data, as `CapturedLayer.roles` holds it."""
        return {
            "role": self.role,
            "score": self.score,
            "chance": self.chance,
            "lift": self.lift,
            "named": self.named,
            "examples": [dict(example) for example in self.examples],
            "mean": self.mean,
            "spread": self.spread,
            "n": self.n,
            "queries": self.queries,
            "threshold": self.threshold,
            "reason": self.reason,
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> "RoleScore":
        """What `to_dict` gave."""
        own = {name: value for name, value in plain.items() if name not in ("lift", "named", "examples")}
        return RoleScore(**own, examples=tuple(dict(example) for example in plain["examples"]))

    def merged(self, other: "RoleScore") -> "RoleScore":
        """The same role of the same head over the data of both."""
        if other.n == 0:
            return self
        if self.n == 0:
            return other
        n, queries = self.n + other.n, self.queries + other.queries
        # Both sides have items, and so numbers.
        score, chance = (_weighted(self, other, name, "queries") for name in ("score", "chance"))
        mean = _weighted(self, other, "mean", "n")
        squares = sum(
            (one.spread or 0.0) ** 2 * (one.n - 1) + one.n * ((one.mean or 0.0) - mean) ** 2 for one in (self, other)
        )
        examples = sorted(self.examples + other.examples, key=_weight, reverse=True)[:EXAMPLES]
        spread = math.sqrt(squares / (n - 1))
        return replace(
            self, score=score, chance=chance, mean=mean, spread=spread, n=n, queries=queries, examples=tuple(examples)
        )


def ranked(scores: Sequence[RoleScore]) -> list[RoleScore]:
    """Named roles first, then by strength, what was not decided last."""
    return sorted(scores, key=lambda one: (one.named, one.strength), reverse=True)


def name_roles(found: Sequence[Sequence[Sequence[RoleScore | Mapping[str, Any]]]]) -> list[list[dict[str, object]]]:
    """The roles of one layer's heads over several captures or batches of it, as `CapturedLayer.roles` holds them.

    `found` holds what `roles_of` gave for each, or the dictionaries of `CapturedLayer.roles`; the numbers are those of
    all their items together.

    Raises: ValueError where there is nothing, or the captures have different numbers of heads.
    """
    counts = {len(heads) for heads in found}
    if len(counts) != 1:
        raise ValueError(f"roles are merged over captures of one layer with the same heads; got {sorted(counts)} heads")
    named = []
    for head in range(counts.pop()):
        merged: dict[str, RoleScore] = {}
        for heads in found:
            for one in heads[head]:
                own = one if isinstance(one, RoleScore) else RoleScore.from_dict(one)
                merged[own.role] = merged[own.role].merged(own) if own.role in merged else own
        named.append([one.to_dict() for one in ranked(list(merged.values()))])
    return named


def _surprise(score: float, chance: float) -> float:
    """KL of a coin that comes up with probability `score` from one with `chance`, in nats."""
    parts = ((score, chance), (1.0 - score, 1.0 - chance))
    return sum(p * math.log(p / q) if q > 0 else math.inf for p, q in parts if p > 0)


def _weighted(first: RoleScore, second: RoleScore, name: str, by: str) -> float:
    pairs = [(getattr(one, name) or 0.0, getattr(one, by)) for one in (first, second)]
    return sum(value * weight for value, weight in pairs) / max(1, sum(weight for _, weight in pairs))


def _weight(example: Mapping[str, object]) -> float:
    weight = example.get("weight")
    return float(weight) if isinstance(weight, (int, float)) else 0.0
