"""The verdict: does an explanation find what the prediction rests on, any sooner than chance would?"""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from attnkit.see.explain.curves import Measured
from attnkit.task.metrics.bootstrap import row_counts

Word = Literal["faithful", "partly faithful", "unproven", "no better than random", "nothing to find"]
Over = Literal["texts", "random rankings", "redrawn weights"]

# All of n signs agree by chance once in 2^n times: with fewer texts no interval over texts means 95 %.
FEWEST_TEXTS = 6
RESAMPLES = 2000
# A prediction that moves by less than this, whatever is taken away, rests on none of its tokens.
LEAST_MOVE = 0.02


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        # Adding zero makes 0.0 of -0.0.
        value, low, high = (round(x, 2) + 0.0 for x in (self.value, self.low, self.high))
        return f"{value:.2f} [{low:.2f}, {high:.2f}]"


@dataclass(frozen=True)
class Control:
    """The same method on redrawn weights, judged by the trained model.

    `correlation` is Spearman's between the scores before and after, `deletion` how much sooner than random rankings the
    explanation of redrawn weights deletes the trained model's prediction; both over `draws` pairs of a text and a draw
    of weights. A method that reads the model has both near zero.
    """

    correlation: Estimate
    deletion: Estimate
    draws: int


@dataclass(frozen=True)
class Verdict:
    """How far a method's explanations of some texts can be trusted.

    `deletion`, `insertion`, `comprehensiveness` and `sufficiency` are gains over random rankings of the same texts,
    each so that more is better: the area between the two deletion curves, and so on. `own` and `random` hold the means
    of the measures themselves. Intervals are `over` texts, or over random rankings of these very texts where they are
    fewer than six. `move` is how far the prediction of a text moved at most as tokens went, in the mean.
    """

    method: str
    word: Word
    sentence: str
    texts: int
    over: Over
    rankings: int
    move: float
    deletion: Estimate
    insertion: Estimate
    comprehensiveness: Estimate
    sufficiency: Estimate
    own: Measured
    random: Measured
    control: Control | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def judge(
    method: str,
    own: list[Measured],
    random: list[list[Measured]],
    moves: list[float],
    control: Control | None,
    seed: int = 0,
) -> Verdict:
    """The verdict on a method's rankings of n texts (`own`), beside `random` ones of each (the same number of each).

    Faithful is what both deletes and inserts the prediction sooner than random rankings, the whole interval above zero.
    It stays unproven where the explanation of redrawn weights does half as well, beyond chance.
    """
    chance = mean_of([one for some in random for one in some])
    gains = [np.array([_gains(one, other) for other in some]) for one, some in zip(own, random, strict=True)]
    gains_NR4 = np.stack(gains)
    over: Over = "texts" if len(own) >= FEWEST_TEXTS else "random rankings"
    deletion, insertion, comprehensiveness, sufficiency = (
        over_texts(gains_NR4[:, :, place].mean(1), seed)
        if over == "texts"
        else over_rankings(gains_NR4[:, :, place].mean(0))
        for place in range(4)
    )
    move = sum(moves) / len(moves)
    word = _word(deletion, insertion, move, control)
    counted = f"{len(own)} text{'s'[: len(own) != 1]}"
    where = f"{counted}, interval over texts"
    if over == "random rankings":
        where = f"as far as {counted} can tell; interval over {len(random[0])} random rankings"
    sentence = f"{_sentence(word, deletion, insertion, move, control)} ({where})"
    return Verdict(
        method=method,
        word=word,
        sentence=sentence,
        texts=len(own),
        over=over,
        rankings=len(random[0]),
        move=move,
        deletion=deletion,
        insertion=insertion,
        comprehensiveness=comprehensiveness,
        sufficiency=sufficiency,
        own=mean_of(own),
        random=chance,
        control=control,
    )


def mean_of(measures: list[Measured]) -> Measured:
    """The mean of each of the four measures."""
    rows = np.array([_row(one) for one in measures])
    return Measured(*(float(mean) for mean in rows.mean(0)))


def over_texts(values: NDArray[np.float64], seed: int = 0) -> Estimate:
    """The mean and its expanded percentile bootstrap interval.

    Plain percentiles are too narrow for few texts; here they are those that make up for n - 1 and for Student's t.

    Source: Hesterberg 2015, section 5.3.
    """
    n = len(values)
    mean = float(values.mean())
    if n < 2 or np.ptp(values) == 0:
        return Estimate(mean, mean, mean)
    generator = np.random.default_rng(seed)
    means = np.concatenate([counts @ values / n for counts in row_counts(n, RESAMPLES, generator)])
    tail = 100 * float(norm.cdf(np.sqrt(n / (n - 1)) * student.ppf(0.025, n - 1)))
    low, high = np.percentile(means, [tail, 100 - tail])
    return Estimate(mean, min(float(low), mean), max(float(high), mean))


def over_rankings(values: NDArray[np.float64]) -> Estimate:
    """The mean over random rankings, and the range that 95 % of the rankings fall into."""
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high))


def _row(one: Measured) -> list[float]:
    return [one.deletion, one.insertion, one.comprehensiveness, one.sufficiency]


def gain(own: Measured, random: list[Measured]) -> float:
    """How much sooner a ranking deletes the prediction than random ones do."""
    return sum(other.deletion for other in random) / len(random) - own.deletion


def _gains(own: Measured, other: Measured) -> list[float]:
    """Gains over another ranking; deletion and sufficiency are better the lower they are."""
    signs = (-1, 1, 1, -1)
    return [sign * (a - b) for sign, a, b in zip(signs, _row(own), _row(other), strict=True)]


def _insensitive(deletion: Estimate, control: Control | None) -> bool:
    """True where redrawn weights give an explanation that does at least half as well, beyond chance."""
    return control is not None and control.deletion.low > 0 and control.deletion.value >= deletion.value / 2


def _word(deletion: Estimate, insertion: Estimate, move: float, control: Control | None) -> Word:
    if move < LEAST_MOVE:
        return "nothing to find"
    better = [one.low > 0 for one in (deletion, insertion)]
    if not any(better):
        return "no better than random"
    if _insensitive(deletion, control):
        return "unproven"
    return "faithful" if all(better) else "partly faithful"


def _sentence(word: Word, deletion: Estimate, insertion: Estimate, move: float, control: Control | None) -> str:
    deletes = f"deletes the prediction {deletion} sooner than a random ranking"
    inserts = f"brings it back {insertion} sooner"
    if word == "nothing to find":
        return f"nothing to find: whatever tokens are taken away, the prediction moves by {move:.2f} only"
    if word == "no better than random":
        worse = "worse than random here" if deletion.high < 0 and insertion.high < 0 else "no better than random here"
        return f"{worse}: {deletes}, {inserts}"
    if word == "unproven":
        assert control is not None
        return (
            f"unproven: {deletes}, {inserts}; but redrawn weights give an explanation that deletes it "
            f"{control.deletion} sooner too, so that it shows the text and not what was learned"
        )
    if word == "partly faithful" and deletion.low > 0:
        return f"partly faithful: {deletes}, but does not surely bring it back sooner ({insertion})"
    if word == "partly faithful":
        return (
            f"partly faithful: brings the prediction back {insertion} sooner than a random ranking, but does not "
            f"surely delete it sooner ({deletion})"
        )
    return f"faithful: {deletes}, {inserts}"
