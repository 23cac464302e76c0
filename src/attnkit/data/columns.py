"""Guesses which column holds the text and which the label, by name first and by content second."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from attnkit.data.labels import is_missing, listed, number_in
from attnkit.data.table import Table

TEXT_NAMES = (
    *("text", "texts", "sentence", "review", "content", "document", "article", "body", "comment", "tweet", "message"),
    *("utterance", "query", "question", "post", "abstract", "description", "title"),
    *("文本", "内容", "正文", "评论", "句子"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "category", "categories", "target", "sentiment", "intent", "topic", "topics"),
    *("tag", "tags", "emotion", "emotions", "polarity", "gold", "score", "rating", "stars", "grade", "y"),
    *("标签", "类别", "分类", "情感", "评分"),
)
PAIR_NAMES = (
    ("premise", "hypothesis"),
    ("question", "passage"),
    ("question", "sentence"),
    ("query", "passage"),
    ("query", "document"),
    ("text", "pair"),
)
_NUMBERED = re.compile(r"(?P<stem>.*?[a-z\u4e00-\u9fff])[_ ]?(?P<end>1|a)")
_SECOND = {"1": "2", "a": "b"}
_IDENTITY_NAMES = {"id", "ids", "idx", "index", "guid", "uid", "uuid"}
_SAMPLE = 2000
_SMALL_TABLE_CLASSES = 20


@dataclass(frozen=True, slots=True)
class Profile:
    """What a sample of a column's cells is like; `texts` is the share of plain text among the filled cells."""

    name: str
    filled: int
    distinct: int
    texts: float
    mean_characters: float
    numeric: bool
    lists: bool


def profile(table: Table, column: str) -> Profile:
    """Look at up to 2000 cells, spread evenly over the table."""
    step = max(1, len(table.rows) // _SAMPLE)
    cells = [row.values.get(column) for row in table.rows[::step]]
    cells = [cell for cell in cells if not is_missing(cell)]
    texts = [cell for cell in cells if isinstance(cell, str) and listed(cell) is None]
    return Profile(
        name=column,
        filled=len(cells),
        distinct=len({str(cell) for cell in cells}),
        texts=len(texts) / max(1, len(cells)),
        mean_characters=sum(map(len, texts)) / max(1, len(texts)),
        numeric=bool(cells) and all(number_in(cell) is not None for cell in cells),
        lists=any(listed(cell) is not None for cell in cells),
    )


def guess_text(profiles: Sequence[Profile]) -> tuple[str | None, str]:
    """The column of texts and the reason, as half a sentence; (None, "") where no column holds text."""
    texts = [entry for entry in profiles if entry.texts > 0.5 and not entry.numeric]
    texts = [entry for entry in texts if not _named(entry, LABEL_NAMES, whole=True)]
    for whole in (True, False):
        named = _first_named(texts, TEXT_NAMES, whole)
        if named:
            return named.name, "by its name"
    if not texts:
        return None, ""
    longest = max(texts, key=lambda entry: entry.mean_characters)
    return longest.name, "the column with the longest texts"


def guess_pair(profiles: Sequence[Profile]) -> tuple[str, str] | None:
    """Two columns of texts whose names say that they belong together (premise, hypothesis; sentence1, sentence2)."""
    by_name = {entry.name.lower(): entry.name for entry in profiles if entry.texts > 0.5 and not entry.numeric}
    for first, second in PAIR_NAMES:
        if first in by_name and second in by_name:
            return by_name[first], by_name[second]
    for name, column in by_name.items():
        match = _NUMBERED.fullmatch(name)
        if match and name[:-1] + _SECOND[match["end"]] in by_name and _is_text_name(match["stem"]):
            return column, by_name[name[:-1] + _SECOND[match["end"]]]
    return None


def guess_label(profiles: Sequence[Profile]) -> tuple[list[str], str]:
    """The columns that may hold the label, best first and only one if it is clear, and the reason."""
    able = [entry for entry in profiles if entry.filled and not _is_identity(entry) and not _all_differ(entry)]
    named = _first_named(able, LABEL_NAMES, whole=True)
    if named:
        return [named.name], "by its name"
    parts = [entry for entry in able if _named(entry, LABEL_NAMES, whole=False) and _has_few(entry)]
    if len(parts) == 1:
        return [parts[0].name], "by its name"
    few = [entry.name for entry in able if _has_few(entry)]
    if few:
        return few, "the column with few different values"
    numeric = [entry.name for entry in able if entry.numeric]
    return numeric, "the column of numbers"


def _is_identity(entry: Profile) -> bool:
    """Whether the name says that the column numbers the rows: id, review_id, or pandas' unnamed index."""
    return entry.name == "column 1" or bool(_IDENTITY_NAMES & set(_words(entry.name, whole=False)))


def _all_differ(entry: Profile) -> bool:
    """Whether nearly every row has a text of its own, as no classes have."""
    return entry.texts > 0.5 and not entry.numeric and entry.filled > 20 and 2 * entry.distinct > entry.filled


def _has_few(entry: Profile) -> bool:
    """Whether the values recur as classes do: some value stands twice, and on average each does."""
    if entry.lists:
        return True
    return 1 < entry.distinct <= max(min(_SMALL_TABLE_CLASSES, entry.filled - 1), entry.filled // 5)


def _first_named(entries: Sequence[Profile], names: tuple[str, ...], whole: bool) -> Profile | None:
    found = [entry for entry in entries if _named(entry, names, whole)]
    return min(found, key=lambda entry: _rank(entry, names, whole)) if found else None


def _rank(entry: Profile, names: tuple[str, ...], whole: bool) -> int:
    return min(number for number, name in enumerate(names) if name in _words(entry.name, whole))


def _named(entry: Profile, names: tuple[str, ...], whole: bool) -> bool:
    return any(name in names for name in _words(entry.name, whole))


def _words(name: str, whole: bool) -> list[str]:
    """The name, or with `whole=False` the words in it: review_text and reviewText are both review, text."""
    if whole:
        return [name.lower()]
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[\u4e00-\u9fff]+", name)]


def _is_text_name(stem: str) -> bool:
    return any(word in TEXT_NAMES or word in {"s", "q"} for word in re.findall(r"[a-z]+|[\u4e00-\u9fff]+", stem))
