"""The batches that a recipe asks for."""

from collections.abc import Sequence

from attnkit.data.batch_plan import BatchPlan
from attnkit.errors import UsageError
from attnkit.model.settings import chosen
from attnkit.run.recipe import Recipe
from attnkit.train.preprocessing import Ids, Preprocessing


def batch_plan(prepare: Preprocessing, items: Sequence[Ids], recipe: Recipe) -> BatchPlan:
    """The plan of all epochs over `items`.

    Raises: UsageError where these items cannot be had in such batches.
    """
    train = recipe.train
    if train.batch_tokens and prepare.hierarchical:
        raise UsageError(
            f"a hierarchical model reads tables of sentences, of which train.batch_tokens = {train.batch_tokens} says "
            "nothing; give train.batch_rows instead"
        )
    try:
        return BatchPlan(
            prepare.lengths(items),
            chosen(train.batch_rows),
            seed=train.seed,
            # Only what was settled on packs: a run that was begun before there was a choice goes on as it began.
            packed=train.packs,
            drawn=train.batches == "packed",
            tokens=train.batch_tokens,
            growth=train.batch_growth,
            mix=train.batch_mix,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
