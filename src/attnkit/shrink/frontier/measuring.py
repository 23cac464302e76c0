"""The third part of a search: each trained structure in each of the numbers, on all validation rows."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import safetensors.torch
from torch import nn

from attnkit.data.examples import Example
from attnkit.model.changes import apply_changes
from attnkit.shrink.frontier.account import Account, Measured
from attnkit.shrink.frontier.latency import Timed, milliseconds
from attnkit.shrink.frontier.numbers import NUMBERS
from attnkit.shrink.frontier.pareto import pareto
from attnkit.shrink.frontier.structure import Structure
from attnkit.shrink.parent import Parent
from attnkit.train.loop import predict_logits
from attnkit.train.predictor import Text, load
from attnkit.train.preprocessing import Preprocessing

# Texts by which a network is timed that may be kept; those that are kept are timed by more.
QUICK_TEXTS, QUICK_ROUNDS = 32, 3


def measure_all(
    account: Account, parent: Parent, folder: Path, keep: Callable[[], None], allow_code: bool = False
) -> None:
    """Measure the whole network and every trained one, in all numbers."""
    rows = parent.part("validation").rows
    targets = parent.task.targets(rows)
    known = {(one.structure, one.numbers) for one in account.measured}
    sources = [(Structure(), ""), *((one.structure, one.run) for one in account.trained)]
    for structure, source in sources:
        missing = [name for name in NUMBERS if (structure, name) not in known]
        if not missing:
            continue
        held = load(folder / source, allow_code=allow_code) if source else parent.predictor
        items, before = (one.encode(texts_of(rows)) for one in (held, parent.predictor))
        for name in missing:
            network = copy.deepcopy(held.network)
            apply_changes(network, NUMBERS[name])
            logits = predict_logits(network, held.preprocessing, items)
            value = parent.task.selection_value(logits, targets)
            ratio = None
            if account.target == "latency":
                pair = Timed(parent.predictor.network, parent.prepare, before[:QUICK_TEXTS])
                spent = milliseconds((pair, Timed(network, held.preprocessing, items[:QUICK_TEXTS])), QUICK_ROUNDS)
                ratio = spent[1][0] / spent[0][0]
            account.measured.append(
                Measured(structure, name, source, bytes_of(network, held.preprocessing), value, ratio)
            )
        keep()


def frontier_of(account: Account) -> list[Measured]:
    """What nothing as small, or as fast, is better than, and which loses no more than may be lost; cheapest first.

    Something is better by its validation figure. The parent itself, in its own numbers, is not among them.
    """
    others = [one for one in account.measured if not (one.structure.whole and one.numbers == "float32")]
    within = [one for one in others if account.lost(one.value) <= account.max_loss + 1e-12]
    return pareto(within, lambda one: cost(account, one), lambda one: account.lost(one.value))


def cost(account: Account, one: Measured) -> float:
    """What is to become less: bytes, or time for a text over the parent's."""
    return float(one.disk_bytes) if account.target == "size" or one.ratio is None else one.ratio


def bytes_of(network: nn.Module, prepare: Preprocessing) -> int:
    """What a network and its tokenizer take on disk."""
    weights = safetensors.torch.save({name: value.contiguous() for name, value in network.state_dict().items()})
    return len(weights) + len(prepare.tokenizer.to_json().encode())


def texts_of(rows: Sequence[Example]) -> list[Text]:
    """What stands in rows, or the pair of it."""
    return [row.text if row.pair is None else (row.text, row.pair) for row in rows]
