"""Characters: each is a token, any run of white space is one space."""

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from attnkit.data.tokens.markup import cleaning
from attnkit.data.tokens.tokenizer import SPECIAL, UNKNOWN, TextTokenizer, without_added_tokens


def fit_chars(texts: Sequence[str], vocabulary_size: int, lowercase: bool, min_count: int) -> TextTokenizer:
    """The `vocabulary_size` most frequent characters that stand at least `min_count` times in the texts."""
    inner = Tokenizer(models.WordLevel(vocab={SPECIAL[UNKNOWN]: 0}, unk_token=SPECIAL[UNKNOWN]))
    spaces = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    inner.normalizer = normalizers.Sequence([cleaning(lowercase), *spaces])
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"(?m:.)"), behavior="isolated")
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocabulary_size, min_frequency=min_count, special_tokens=list(SPECIAL), show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    return TextTokenizer("chars", without_added_tokens(inner))
