"""What a language model is built as and how it learns, where a recipe leaves it open."""

from attnkit.data.tokens import TextTokenizer
from attnkit.errors import UsageError
from attnkit.model.settings import ModelSettings
from attnkit.run.recipe import Recipe
from attnkit.train.choices import Choices
from attnkit.train.start.choose import prefer


def refuse_labels(recipe: Recipe) -> None:
    """Hold a recipe whose `model.language` is not "none" to what needs no labels.

    Raises: UsageError naming the field that does.
    """
    for name, wanted in (("evaluate.baselines", recipe.evaluate.baselines), ("evaluate.folds", recipe.evaluate.folds)):
        if wanted and recipe.model.language != "none":
            raise UsageError(f"{name} is for labels, and a language model predicts words; leave it out")
    model, usual = recipe.model, ModelSettings()
    if model.language == "none":
        return
    for entry in ("pooling", "pooling_queries", "beside", "words_beside"):
        value = getattr(model, entry)
        if value and value not in ("auto", getattr(usual, entry)):
            raise UsageError(
                f"model.{entry} = {value!r} says what is made of a whole text, and a language model predicts each "
                "word; leave it out"
            )


def choose_language(choices: Choices, tokenizer: TextTokenizer) -> None:
    """Settle the network and the optimization of a recipe whose `model.language` is not "none"; nothing of others.

    Raises: UsageError where there are too few different words.
    """
    objective = choices.recipe.model.language
    if objective == "none":
        return
    if not tokenizer.size > 8:
        raise UsageError(f"{tokenizer.size} different tokens are too few to predict one from others; give more texts")
    choices.settle("model.hierarchical", False, "words are predicted in whole texts")
    choices.settle("model.encoder", "transformer", "every word may look at every other one")
    if objective == "causal" and choices.recipe.model.encoder == "transformer":
        prefer(choices, "model.attention", "llama", "no word sees a later one, and distances are known")
    elif choices.recipe.model.encoder == "transformer":
        prefer(choices, "model.attention", "rope", "both sides are seen, and distances are known")
    if choices.recipe.model.encoder == "transformer":
        prefer(choices, "model.layers", 2, "small: it is trained from nothing")
    choices.settle("model.ngrams", 0, "an n-gram would show the words that are to be predicted")
    choices.settle("model.words_beside", False, "the encoder alone is trained")
    choices.settle("model.beside", (), "nothing is pooled")
    choices.settle("model.embedding_width", 128, "one table gives the embeddings and the words that are predicted")
    choices.settle("model.width", 256 if choices.recipe.model.encoder == "bilstm" else 128, "small, and quick")
    choices.settle("model.dropout", 0.1, "there is much to predict in each text")
    choices.settle("model.embedding_dropout", 0.1, "there is much to predict in each text")
    choices.settle("model.word_dropout", 0.0, "hiding words is the task itself")
    choices.settle("train.learning_rate", 0.001, "the usual rate of Adam")
