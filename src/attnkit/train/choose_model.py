"""The network, from how many rows there are, how long they are, and how much work the preset allows."""

from attnkit.train.choices import Choices
from attnkit.train.choose_wide import SHORT_TEXT_TOKENS
from attnkit.train.presets import PRESETS

FEW_DOCUMENTS = 10_000


def choose_model(choices: Choices, rows: int, median_tokens: int) -> None:
    """Settle the network from how many rows there are and how long they are."""
    preset = PRESETS[choices.recipe.train.preset]
    hierarchical = choices.recipe.model.hierarchical is True
    short = median_tokens <= SHORT_TEXT_TOKENS and not hierarchical
    length = f"the median text has {median_tokens} tokens"
    if hierarchical and rows < FEW_DOCUMENTS:
        choices.settle("model.encoder", "none", f"{rows} documents are too few to learn how words change each other")
    elif short or preset.width:
        choices.settle("model.encoder", "cnn", f"{length}: phrases of a few words decide, and a cnn is quick")
    else:
        choices.settle("model.encoder", "bilstm", f"{length}: what a word means depends on words far from it")
    _choose_widths(choices)
    if hierarchical:
        choices.settle("model.beside", ("mean",), "what all words say together, beside what attention weighs")
    else:
        choices.settle("model.beside", ("max",), "what is strongest anywhere, beside what attention weighs")
    choices.settle("model.words_beside", short, "single words decide much in short texts" if short else length)
    choices.settle("model.ngrams", 0, "words alone")
    choices.settle("model.word_dropout", 0.1, "unknown words are met while training too")
    embedding_dropout = 0.2 if short else 0.5
    choices.settle("model.embedding_dropout", embedding_dropout, "embeddings hold most weights and overfit first")
    choices.settle("model.dropout", 0.5, f"{rows} training texts are soon learned by heart")


def _choose_widths(choices: Choices) -> None:
    preset = PRESETS[choices.recipe.train.preset]
    hierarchical = choices.recipe.model.hierarchical is True
    if preset.width:
        width, embedding_width, reason = preset.width, preset.width, f"the preset {choices.recipe.train.preset}"
    elif choices.recipe.model.encoder == "cnn":
        width = embedding_width = preset.filters
        reason = f"filters of the preset {choices.recipe.train.preset}"
    else:
        width, embedding_width = 128 if hierarchical else 256, 128
        reason = "two directions of half of it each" if choices.recipe.model.encoder == "bilstm" else "the usual width"
    choices.settle("model.embedding_width", embedding_width, reason)
    choices.settle("model.width", width, reason)
