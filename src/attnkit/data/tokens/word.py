"""Word level: words, numbers and punctuation marks; a Chinese or Japanese character is a word of its own."""

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from attnkit.data.tokens.markup import cleaning
from attnkit.data.tokens.tokenizer import SPECIAL, UNKNOWN, TextTokenizer, without_added_tokens

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[[\p{{L}}\p{{M}}]&&[^{_UNSPACED}]]"
_NUMBER = r"\p{N}+(?:[.,]\p{N}+)+"
# Digits may stand in a word (mp3, 90s, 4th), and an apostrophe between letters (don't).
_WORD = rf"(?:{_LETTER}|\p{{N}})+(?:['’]{_LETTER}+)*"
# Up to three equal marks are one token, so that "..." and "!!!" say more than "." and a ruler says little.
_MARKS = r"([^\s\p{L}\p{M}\p{N}])\1{0,2}"
PIECE = rf"[{_UNSPACED}]|{_NUMBER}|{_WORD}|{_MARKS}|\S"


def fit_words(texts: Sequence[str], vocabulary_size: int, lowercase: bool, min_count: int) -> TextTokenizer:
    """The `vocabulary_size` most frequent words that stand at least `min_count` times in the texts."""
    inner = Tokenizer(models.WordLevel(vocab={SPECIAL[UNKNOWN]: 0}, unk_token=SPECIAL[UNKNOWN]))
    inner.normalizer = cleaning(lowercase)
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), behavior="removed", invert=True)
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocabulary_size, min_frequency=min_count, special_tokens=list(SPECIAL), show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    return TextTokenizer("word", without_added_tokens(inner))
