"""Training texts under noise: which rows of a step are altered, encoded when they are needed."""

from collections.abc import Sequence
from dataclasses import dataclass

from attnkit.data.augment import Augmenter, read_synonyms
from attnkit.data.examples import Example
from attnkit.run.recipe import Recipe
from attnkit.train.preprocessing import Ids, Preprocessing


@dataclass(frozen=True)
class Altered:
    """The texts of the training split, and what may happen to them.

    What happens to a row is a function of (seed, step, row): nothing is kept from step to step, every process is told
    the same, and a row, which stands in one step of an epoch, is altered anew in the next.
    """

    examples: Sequence[Example]
    augmenter: Augmenter
    prepare: Preprocessing
    seed: int

    def items(self, numbers: Sequence[int], step: int, plain: Sequence[Ids]) -> list[Ids]:
        """Token ids of the rows `numbers` at `step`, of which `plain` are those of the texts as they are written.

        Only altered texts are encoded again; one of which no token is left stays as it is written.
        """
        items = list(plain)
        rows = [self.examples[number] for number in numbers]
        changed = [
            self.augmenter.row(row.text, row.pair, self.seed, step, number)
            for row, number in zip(rows, numbers, strict=True)
        ]
        places = [place for place, one in enumerate(changed) if one is not None]
        texts = [one for one in changed if one is not None]
        encoded = self.prepare.encode([text for text, _ in texts], [pair for _, pair in texts]) if texts else []
        for place, ids in zip(places, encoded, strict=True):
            items[place] = ids or items[place]
        return items


def altered(recipe: Recipe, examples: Sequence[Example], prepare: Preprocessing) -> Altered | None:
    """The noise that a recipe asks for; None where it asks for none.

    Raises: UsageError where its synonyms cannot be read.
    """
    settings = recipe.augment
    if not settings.augment:
        return None
    augmenter = Augmenter(
        settings.augment,
        settings.swap,
        settings.delete,
        settings.insert,
        settings.typos,
        settings.replace,
        read_synonyms(settings.synonyms) if settings.replace else {},
    )
    return Altered(examples, augmenter, prepare, recipe.train.seed)
