"""Whether a wide branch stands beside the network, and how it counts."""

from attnkit.run.recipe import Recipe
from attnkit.train.choices import Choices, is_open

SHORT_TEXT_TOKENS = 100
MANY_ROWS = 100_000


def wants_wide(recipe: Recipe) -> bool:
    """Tell whether a wide branch is chosen where the recipe leaves that open.

    Where the encoder is named, that network is what is asked for, and nothing is put beside it.
    """
    open_ = is_open(recipe, "model.wide_ngrams") and is_open(recipe, "model.encoder")
    trained_alone = recipe.model.language == "none" and not recipe.tasks.also and not recipe.start.start_from
    return open_ and trained_alone and recipe.model.hierarchical is not True


def choose_wide_branch(choices: Choices, rows: int, median_tokens: int, classes: int, paired: bool) -> None:
    """Settle the wide branch, before the encoder is; left-one-out counts serve short texts, smoothing long ones."""
    recipe = choices.recipe
    short = median_tokens <= SHORT_TEXT_TOKENS
    chars = recipe.tokens.tokenizer == "chars"
    if paired or not wants_wide(recipe):
        reason = "n-grams do not say of which text of a pair they are" if paired else "the network stands alone"
        choices.settle("model.wide_ngrams", 0, reason, read=recipe.model.language == "none")
    longest, of_what = (3, "characters" if chars else "long texts") if chars or not short else (2, "short texts")
    choices.settle("model.wide_ngrams", longest, f"{of_what}: n-grams up to {longest} beside the deep branch")
    read = choices.recipe.model.wide_ngrams != 0
    if short and not chars and rows < MANY_ROWS:
        fewest, why_fewest = 1, f"{rows} short texts: what stands in one of them is worth its place"
    else:
        fewest, why_fewest = 2, "n-grams that stand in one text are too many"
    smoothing, why = (float(max(2, classes)), "one text of each class") if short else (40.0, "long texts hold many")
    choices.settle("model.wide_min_texts", fewest, why_fewest, read)
    choices.settle("model.wide_smoothing", smoothing, why, read)
    alone = "each branch must answer by itself, or the deep one learns little"
    choices.settle("model.branch_dropout", 0.3, alone, read)
