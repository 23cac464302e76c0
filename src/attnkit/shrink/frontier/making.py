"""From a structure to changes, by an importance that is asked of the parent once."""

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from attnkit.layers import AttentionLayer
from attnkit.model.changes import (
    Change,
    DropLayers,
    FactorizeEmbedding,
    LowRank,
    RemoveHeads,
    RemoveUnits,
    apply_changes,
)
from attnkit.model.changes.base import layers_of, layers_path
from attnkit.model.changes.places import linear_maps
from attnkit.model.embedding import SEPARATOR
from attnkit.shrink.choose import least_heads, least_units
from attnkit.shrink.frontier.structure import RANKS, SHARES, TABLE, WORDS, Room, Structure
from attnkit.shrink.holding import TEXTS, kept_words
from attnkit.shrink.parent import Parent
from attnkit.shrink.weigh import Weighed
from attnkit.train.preprocessing import Ids

# The fewest layers that stay.
FEWEST = 1


@dataclass(frozen=True)
class Making:
    """What each layer, head and inner unit of a parent is worth, how often its training texts hold each word."""

    layers: tuple[float, ...]
    heads: Mapping[int, tuple[float, ...]]
    units: Mapping[int, tuple[float, ...]]
    words: Counter[int]
    vocabulary: int
    table_width: int
    room: Room

    @classmethod
    def of(cls, parent: Parent, rows: int) -> "Making":
        """Asked of at most `rows` validation rows, and of all training rows for their words.

        Layers are weighed by passing them by, heads and units by gradients: a network that has lost some layers is
        taken to need its heads as before.
        """
        network = parent.network()
        weighed = Weighed(parent, "gradient", rows)
        layers = tuple(weighed.layers(network))
        counts = Counter(id for item in parent.part("train").items for id in flat(item))
        table = network.get_submodule("embedding").get_submodule("rows")
        plain = isinstance(table, nn.Embedding)
        heads: dict[int, tuple[float, ...]] = {}
        if _separable(network):
            heads = {layer: tuple(each) for layer, each in weighed.heads(network).items()}
        units = {layer: tuple(each) for layer, each in weighed.units(network).items()}
        prunable = plain and _prunable(network, parent)
        width = table.embedding_dim if isinstance(table, nn.Embedding) else 0
        room = Room(len(layers) - FEWEST, bool(heads), bool(units), prunable, plain and width >= 8, True)
        size = parent.prepare.tokenizer.size
        return cls(layers, heads, units, counts, size, width, room)

    def changes(self, structure: Structure, network: nn.Module) -> tuple[Change, ...]:
        """The changes that make `structure`; `network`, a copy of the parent's, is changed as far as ranks go."""
        made: list[Change] = []
        left = list(range(len(self.layers)))
        if structure.layers:
            order = sorted(left, key=lambda layer: self.layers[layer])
            gone = sorted(order[: structure.layers])
            left = [layer for layer in left if layer not in gone]
            made.append(DropLayers(tuple(gone)))
        if structure.heads:
            scores = {new: self.heads[old] for new, old in enumerate(left) if old in self.heads}
            count = round(SHARES[structure.heads] * sum(map(len, scores.values())))
            made += least_heads(scores, count) if count else ()
        if structure.units:
            made += self._units(structure, left)
        if structure.words:
            words = self.vocabulary - SEPARATOR - 1
            made.append(kept_words(self.words, self.vocabulary, min(words - 1, round(WORDS[structure.words] * words))))
        apply_changes(network, made)
        ranked: list[Change] = []
        if structure.rank:
            ranked += _ranks(network, RANKS[structure.rank])
        if structure.table:
            width = max(1, round(self.table_width * (1 - TABLE[structure.table])))
            ranked.append(FactorizeEmbedding(width, texts=TEXTS))
        return (*made, *ranked)

    def _units(self, structure: Structure, left: list[int]) -> tuple[RemoveUnits, ...]:
        scores = {new: self.units[old] for new, old in enumerate(left) if old in self.units}
        return least_units(scores, f"{SHARES[structure.units]:.0%}")


def work_of(network: nn.Module) -> int:
    """Multiply-adds a token of the linear maps in `network`: what most of its time goes by, without a clock."""
    return sum(linear.weight.numel() for _, linear in linear_maps(network))


def _ranks(network: nn.Module, share: float) -> list[LowRank]:
    modules, ranks, path = [], [], layers_path(network)
    for name, linear in linear_maps(network):
        rows, columns = linear.weight.shape
        rank = int(share * rows * columns / (rows + columns))
        if isinstance(linear, nn.Linear) and name.startswith(path) and 1 <= rank < min(rows, columns):
            modules.append(name)
            ranks.append(rank)
    return [LowRank(tuple(modules), tuple(ranks), TEXTS)] if modules else []


def _separable(network: nn.Module) -> bool:
    """Whether single heads of this network can go."""
    first = layers_of(network)[0].get_submodule("attention")
    if not isinstance(first, AttentionLayer) or first.layout.heads < 2 or first.layout.heads != first.layout.G:
        return False
    try:
        RemoveHeads(0, (0,)).apply(copy.deepcopy(network))
    except ValueError:
        return False
    return True


def _prunable(network: nn.Module, parent: Parent) -> bool:
    """Whether words of this vocabulary can go, without anything else being numbered by it."""
    others = getattr(network, "wide", None) is not None or getattr(network, "ngrams", None) is not None
    return parent.prepare.tokenizer.kind in ("word", "chars") and not others and not parent.prepare.hierarchical


def flat(item: Ids) -> list[int]:
    """The ids of a text, of all its sentences where it is hierarchical."""
    return [id for part in item for id in (part if isinstance(part, list) else [part])]
