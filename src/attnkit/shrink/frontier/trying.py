"""The first part of a search: many structures, as they are before any training, on some validation rows."""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from attnkit.model.changes import Change, PruneVocabulary, apply_changes
from attnkit.model.embedding import UNKNOWN
from attnkit.shrink.frontier.account import Account, Tried
from attnkit.shrink.frontier.making import Making, flat, work_of
from attnkit.shrink.frontier.pareto import pareto
from attnkit.shrink.frontier.structure import Structure
from attnkit.shrink.parent import Parent, Part
from attnkit.train.loop import predict_logits
from attnkit.train.preprocessing import Ids
from attnkit.train.terms.divergence import divergence


def try_structures(
    account: Account, parent: Parent, making: Making, part: Part, until: float, keep: Callable[[], None]
) -> None:
    """Walk from the whole network, one step along one axis at a time, until no step is left or the clock says `until`.

    Of what is on the frontier and was not gone on from, the cheapest goes on whose predictions are less than half as
    far from the parent's as those of knowing nothing, since training takes much of it back; where there is none, the
    one that moved least.
    """
    known = {one.structure: one for one in account.tried}
    gone_on: set[Structure] = set()
    whole = predict_logits(parent.predictor.network, parent.prepare, part.items)
    if not known:
        _try(account, known, Structure(), parent, making, part, whole)
    bearable_moved = float(divergence(parent.task, whole, torch.zeros_like(whole))) / 2
    while time.monotonic() < until:
        open_ = [one for one in front(account) if one.structure not in gone_on]
        bearable = [one for one in open_ if one.moved <= bearable_moved]
        if not open_:
            return
        chosen = bearable[0] if bearable else min(open_, key=lambda one: one.moved)
        for structure in making.room.further(chosen.structure):
            if structure not in known and time.monotonic() < until:
                _try(account, known, structure, parent, making, part, whole)
                keep()
        gone_on.add(chosen.structure)


def front(account: Account) -> list[Tried]:
    """The structures that nothing as cheap moves less than, cheapest first."""
    return pareto(account.tried, lambda one: cost(account, one), lambda one: one.moved)


def cost(account: Account, one: Tried) -> float:
    """What is to become less: weights, or multiply-adds a token."""
    return one.parameters if account.target == "size" else one.work


def _try(
    account: Account,
    known: dict[Structure, Tried],
    structure: Structure,
    parent: Parent,
    making: Making,
    part: Part,
    whole: Tensor,
) -> None:
    network = parent.network()
    changes = making.changes(structure, parent.network())
    items = renumbered(changes, part.items)
    apply_changes(network, changes, lambda model, texts: _read(model, parent, items[:texts]))
    moved = float(divergence(parent.task, whole, predict_logits(network, parent.prepare, items)))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    one = Tried(structure, moved, parameters, work_of(network))
    account.tried.append(one)
    known[structure] = one


def _read(network: nn.Module, parent: Parent, items: Sequence[Ids]) -> None:
    predict_logits(network, parent.prepare, items)


def renumbered(changes: Sequence[Change], items: Sequence[Ids]) -> list[Ids]:
    """Items as a tokenizer reads them after `changes`: words that went are unknown, others have new numbers."""
    found = list(items)
    for change in changes:
        if isinstance(change, PruneVocabulary):
            place = {row: number for number, row in enumerate(change.numbers())}
            found = [[place.get(row, UNKNOWN) for row in flat(item)] for item in found]
    return found
