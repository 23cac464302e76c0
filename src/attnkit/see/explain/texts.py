"""Explanations of a set of texts, each method with its verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import torch

from attnkit.errors import UsageError
from attnkit.see.explain.attention import explain as attention
from attnkit.see.explain.attribution import Attribution, Method
from attnkit.see.explain.control import explain as by_chance
from attnkit.see.explain.control import rank_correlation, redrawn
from attnkit.see.explain.curves import Measured, curves, measured, order_of
from attnkit.see.explain.gradient_attention import explain as gradient_attention
from attnkit.see.explain.gradient_input import explain as gradient_input
from attnkit.see.explain.integrated_gradients import explain as integrated_gradients
from attnkit.see.explain.occlusion import explain as occlusion
from attnkit.see.explain.rollout import explain as rollout
from attnkit.see.explain.target import Item, Subject, Target
from attnkit.see.explain.value_zeroing import explain as value_zeroing
from attnkit.see.explain.verdict import FEWEST_TEXTS, Control, Verdict, gain, judge, over_texts
from attnkit.train.predictor import Text

RANDOM = "random"
METHODS: MappingProxyType[str, Method] = MappingProxyType(
    {
        "occlusion": occlusion,
        "gradient_attention": gradient_attention,
        "gradient_input": gradient_input,
        "integrated_gradients": integrated_gradients,
        "value_zeroing": value_zeroing,
        "rollout": rollout,
        "attention": attention,
        RANDOM: by_chance,
    }
)
# Random rankings of a text: enough for an interval of their own where the texts are too few for one.
RANKINGS, RANKINGS_OF_FEW = 5, 80
# Distinct draws of weights; each text has its own where there are no more texts.
MOST_DRAWS = 16


@dataclass(frozen=True)
class Explanations:
    """Attributions by method, one a text, and the verdict on each method; `refused` says why a method gave nothing."""

    items: tuple[Item, ...]
    targets: tuple[Target, ...]
    attributions: dict[str, tuple[Attribution, ...]]
    verdicts: dict[str, Verdict]
    refused: dict[str, str]

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "texts": [
                {"tokens": list(item.tokens), "target": target.to_dict()}
                for item, target in zip(self.items, self.targets, strict=True)
            ],
            "attributions": {name: [one.to_dict() for one in of] for name, of in self.attributions.items()},
            "verdicts": {name: verdict.to_dict() for name, verdict in self.verdicts.items()},
            "refused": dict(self.refused),
        }

    def of_capture(self, stream: str = "text") -> list[dict[str, object]]:
        """The same as the dictionaries that `Capture.explanations` holds, one a method and text."""
        return [
            {
                "method": name,
                "stream": stream,
                "item": number,
                "scores": list(one.scores),
                "verdict": self.verdicts[name].sentence if name in self.verdicts else "",
                "details": {
                    "target": one.target.to_dict(),
                    "seconds": one.seconds,
                    "note": one.note,
                    **one.details,
                    "verdict": self.verdicts[name].to_dict() if name in self.verdicts else None,
                },
            }
            for name, of in self.attributions.items()
            for number, one in enumerate(of)
        ]


def explain_texts(
    subject: Subject,
    texts: Sequence[Text],
    methods: Sequence[str] = tuple(METHODS),
    *,
    seed: int = 0,
    rankings: int | None = None,
    redraw: bool = True,
) -> Explanations:
    """Explain each text by each method, and hold each method against random rankings and against redrawn weights.

    `rankings` is the number of random rankings of a text (None: 5, or 80 where there are fewer than six texts); without
    `redraw` the control with redrawn weights is left out, which halves the time. The same `seed` gives the same
    numbers.

    Raises: UsageError for an unknown method, no text at all, or a text that the subject cannot take.
    Cost: each method's own twice, and 14 forward passes a text for each ranking: two a method, and the random ones.
    """
    return explain_items(subject, subject.items(texts), methods, seed=seed, rankings=rankings, redraw=redraw)


def explain_items(
    subject: Subject,
    items: Sequence[Item],
    methods: Sequence[str] = tuple(METHODS),
    *,
    seed: int = 0,
    rankings: int | None = None,
    redraw: bool = True,
) -> Explanations:
    """`explain_texts` of texts that are ids already.

    Raises: UsageError as there.
    """
    _check(items, methods, rankings)
    targets = [subject.target(item) for item in items]
    attributions: dict[str, tuple[Attribution, ...]] = {}
    refused: dict[str, str] = {}
    for name in methods:
        try:
            attributions[name] = _explained(name, subject, items, targets, seed)
        except UsageError as error:
            refused[name] = str(error)
    judged = [number for number, item in enumerate(items) if any(item.movable)]
    if not judged or not attributions:
        return Explanations(tuple(items), tuple(targets), attributions, {}, refused)
    count = rankings or (RANKINGS if len(judged) >= FEWEST_TEXTS else RANKINGS_OF_FEW)
    pairs = _pairs(judged) if redraw else []
    controls = _redrawn(subject, items, targets, [name for name in attributions if name != RANDOM], pairs, seed)
    own: dict[str, list[Measured]] = {name: [] for name in attributions}
    random: list[list[Measured]] = []
    drawn: dict[str, list[float]] = {name: [] for name in controls}
    moves: list[float] = []
    for number in judged:
        item, target = items[number], targets[number]
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        scores: list[Sequence[float]] = [torch.rand(item.T, generator=generator).tolist() for _ in range(count)]
        scores += [attributions[name][number].scores for name in attributions]
        scores += [one.scores for name in controls for one in controls[name][number]]
        orders = [order_of(some, item, generator) for some in scores]
        found = curves(subject, item, orders, target)
        moves.append(max(abs(p - target.share) for curve in found for p in curve.deleted))
        rows = iter([measured(curve, sum(item.movable)) for curve in found])
        random.append([next(rows) for _ in range(count)])
        for name in attributions:
            own[name].append(next(rows))
        for name in controls:
            drawn[name] += [gain(next(rows), random[-1]) for _ in controls[name][number]]
    verdicts = {
        name: judge(name, own[name], random, moves, _control(attributions, controls, drawn, name, seed), seed)
        for name in attributions
    }
    return Explanations(tuple(items), tuple(targets), attributions, verdicts, refused)


def _check(items: Sequence[Item], methods: Sequence[str], rankings: int | None) -> None:
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise UsageError(f"there is no method {unknown[0]!r}; take some of {', '.join(METHODS)}")
    if not items or not methods:
        raise UsageError("there is nothing to explain; give at least one text and one method")
    if rankings is not None and rankings < 1:
        raise UsageError(f"rankings must be at least 1; got {rankings}")


def _method(name: str, seed: int, number: int) -> Method:
    if name != RANDOM:
        return METHODS[name]
    return partial(by_chance, generator=torch.Generator().manual_seed(seed * 1_000_003 + 500_000 + number))


def _explained(
    name: str, subject: Subject, items: Sequence[Item], targets: Sequence[Target], seed: int
) -> tuple[Attribution, ...]:
    pairs = enumerate(zip(items, targets, strict=True))
    return tuple(_method(name, seed, number)(subject, item, target=target) for number, (item, target) in pairs)


def _pairs(judged: Sequence[int]) -> list[tuple[int, int]]:
    """(draw of weights, text): every text once, or again until there are six pairs; each its own draw, up to 16."""
    return [(place % MOST_DRAWS, judged[place % len(judged)]) for place in range(max(FEWEST_TEXTS, len(judged)))]


def _redrawn(
    subject: Subject,
    items: Sequence[Item],
    targets: Sequence[Target],
    names: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    seed: int,
) -> dict[str, dict[int, list[Attribution]]]:
    """What each method says of each text under redrawn weights, of the same output."""
    found: dict[str, dict[int, list[Attribution]]] = {name: {n: [] for n in range(len(items))} for name in names}
    for draw in sorted({draw for draw, _ in pairs}):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + 900_000 + draw)
        with redrawn(subject.network, generator):
            for number in (number for other, number in pairs if other == draw):
                target = subject.target(items[number], targets[number].index)
                for name in names:
                    found[name][number].append(METHODS[name](subject, items[number], target=target))
    return found if pairs else {}


def _control(
    attributions: dict[str, tuple[Attribution, ...]],
    controls: dict[str, dict[int, list[Attribution]]],
    drawn: dict[str, list[float]],
    name: str,
    seed: int,
) -> Control | None:
    if name not in controls:
        return None
    alike = [
        rank_correlation(attributions[name][number].scores, one.scores)
        for number, of in controls[name].items()
        for one in of
    ]
    return Control(over_texts(np.array(alike), seed), over_texts(np.array(drawn[name]), seed), len(alike))
