"""What naive Bayes makes of training rows: the n-grams of their texts, and what each says of each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnkit.model.embedding import SEPARATOR
from attnkit.model.wide import WideNgrams

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Level:
    """The n-grams of one length: their keys, how many texts hold each, and which text (`text`) holds which (`gram`)."""

    keys: Ints
    texts: Ints
    text: Ints
    gram: Ints


def count_ngrams(items: Sequence[Sequence[int]], vocabulary_size: int, longest: int, min_texts: int) -> int:
    """How many n-grams of 2 to `longest` words stand in at least `min_texts` of the texts, given as ids."""
    return sum(len(level.keys) for level in _levels(items, vocabulary_size, longest, min_texts)[1:])


def fit(
    wide: WideNgrams,
    items: Sequence[Sequence[int]],
    targets: Tensor,
    kind: str,
    *,
    min_texts: int,
    smoothing: float,
) -> None:
    """Fill the keys and ratios of `wide` from training texts (as ids) and their targets, in the form of the task.

    With n_gc texts of class c among the n_g that hold the n-gram g, m = `smoothing` and p_c the share of class c:
    r_gc = log((n_gc + m p_c) / p_c), less its mean over the classes where a text has one of them ("single"), or less
    the same of the texts without c ("multi"). Of a score, r_g = (sum of scores) / (n_g + m). So an n-gram is taken to
    have stood in m more texts that say nothing; without them rare ones would know the training rows by heart.
    Where there are more n-grams than rows, `min_texts` is raised until they fit.

    Source: Wang and Manning (2012), section 2.1, with smoothing toward the share of each class.
    """
    rows = wide.features.rows
    room = len(rows.keys)
    levels = _levels(items, rows.vocabulary_size, rows.longest, min_texts)
    texts = np.sort(np.concatenate([np.zeros(0, np.int64), *(level.texts for level in levels[1:])]))[::-1]
    if len(texts) > room:
        levels = _levels(items, rows.vocabulary_size, rows.longest, int(texts[room]) + 1)
    keys = np.concatenate([np.zeros(0, np.int64), *(level.keys for level in levels[1:])])
    columns = _columns(targets, kind, wide.outputs)
    sums = np.concatenate([_sums(level, columns) for level in levels])
    counts = np.concatenate([level.texts for level in levels])[:, None]
    ratio = _ratios(sums, counts, columns, kind, smoothing)
    mean = ratio.mean(-1)
    if kind == "single":
        ratio = ratio - mean[:, None]
    with torch.no_grad():
        rows.keys[: len(keys)] = torch.from_numpy(keys)
        wide.features.ratio[: len(ratio)] = torch.from_numpy(ratio).to(wide.features.ratio)
        wide.features.ratio[: SEPARATOR + 1] = 0
        wide.features.mean[: len(mean)] = torch.from_numpy(mean).to(wide.features.mean)
        wide.features.share.copy_(torch.from_numpy(_shares(columns, kind)))
        wide.features.least.fill_(smoothing)


def _levels(items: Sequence[Sequence[int]], vocabulary_size: int, longest: int, min_texts: int) -> list[_Level]:
    """The n-grams of each length: of one word all of the vocabulary, of more those in at least `min_texts` texts."""
    lengths = np.fromiter((len(item) for item in items), np.int64, len(items))
    flat = np.concatenate([np.zeros(0, np.int64), *(np.asarray(item, np.int64) for item in items)])
    text = np.repeat(np.arange(len(items)), lengths)
    within = np.arange(len(flat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    plain = flat > SEPARATOR
    levels = [_level(np.arange(vocabulary_size), text[plain], flat[plain])]
    row, start = np.where(plain, flat, 0), vocabulary_size
    for length in range(2, longest + 1):
        before = np.r_[np.zeros(1, np.int64), row[:-1]]
        there = np.flatnonzero(plain & (before > 0) & (within >= length - 1))
        keys, gram = np.unique(before[there] * vocabulary_size + flat[there], return_inverse=True)
        whole = _level(keys, text[there], gram)
        kept = whole.texts >= min_texts
        place = np.cumsum(kept) - 1
        levels.append(_level(keys[kept], whole.text[kept[whole.gram]], place[whole.gram[kept[whole.gram]]]))
        row = np.zeros_like(row)
        row[there] = np.where(kept[gram], start + place[gram], 0)
        start += int(kept.sum())
    return levels


def _level(keys: Ints, text: Ints, gram: Ints) -> _Level:
    width = max(1, len(keys))
    # Sorted by hand: np.unique hashes, which takes a hundred times as long on numbers that are nearly all different.
    held = np.sort(text * width + gram)
    held = held[np.r_[True, held[1:] != held[:-1]][: len(held)]]
    text, gram = held // width, held % width
    return _Level(keys, np.bincount(gram, minlength=len(keys)), text, gram)


def _columns(targets: Tensor, kind: str, outputs: int) -> Floats:
    """One column a class (0 or 1), or one of scores."""
    if kind == "single":
        return np.eye(outputs)[targets.numpy()]
    return targets.double().numpy().reshape(len(targets), outputs)


def _sums(level: _Level, columns: Floats) -> Floats:
    """The sum of each column over the texts that hold each n-gram."""
    each = [np.bincount(level.gram, column[level.text], minlength=len(level.keys)) for column in columns.T]
    return np.stack(each, -1)


def _shares(columns: Floats, kind: str) -> Floats:
    share = (columns.sum(0) + 1) / (len(columns) + 2)
    return share / share.sum() if kind == "single" else share


def _ratios(sums: Floats, counts: Ints, columns: Floats, kind: str, m: float) -> Floats:
    if kind == "score":
        return sums / (counts + m)
    share = _shares(columns, kind)
    if kind == "single":
        return np.log(sums / share + m)
    return np.log(sums / share + m) - np.log((counts - sums) / (1 - share) + m)
