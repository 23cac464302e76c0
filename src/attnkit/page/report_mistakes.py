"""The worst mistakes in a report: each with what was true, what was predicted, and where the model looked."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from attnkit.page.excerpt import Piece, excerpt
from attnkit.page.letters import plain_letters
from attnkit.page.report_confusion import confusions_table
from attnkit.page.report_style import Section, document

# A piece that weighs less than this share of the heaviest keeps the ground of the page.
FAINT = 0.05
MOST_LABEL_LETTERS = 200


@dataclass(frozen=True)
class Mistake:
    """One row that was predicted wrong.

    `truth` and `predicted` are labels as text; `wrong_by` orders mistakes, the worst first: the probability of what
    was wrongly predicted, or the distance of a score. `probability` is that of the predicted class (None where there
    is no single one), `true_probability` that of the true one. `pieces` joined are the text (weight None between
    tokens), with the weight that the pooling gave each; `unshaded` says why no weight could be had.
    """

    place: str
    truth: str
    predicted: str
    wrong_by: float
    probability: float | None
    true_probability: float | None
    pieces: tuple[Piece, ...]
    cut: int = 0
    unshaded: str = ""


def mistakes_body(mistakes: Sequence[Mistake], rows: int, wrong: int | None) -> str:
    """The mistakes one below the other; `wrong` of `rows` rows were mistaken (None: scores, where nearly all are)."""
    if not rows:
        return ""
    if not mistakes:
        return f"<p>None of {rows:,} rows was predicted wrong.</p>"
    of = f"{wrong:,} of {rows:,} rows were predicted wrong" if wrong is not None else f"{rows:,} scores were predicted"
    told = (
        f"<p>{of}; these are the worst {len(mistakes)}. The stronger its ground, the more of the pooling's weight a "
        "word has, the heaviest of its text being full. Weight is where the model looked, not proof of what decided: "
        "<code>attn explain</code> tests that.</p>"
    )
    return told + "".join(_one(one) for one in mistakes)


def mistakes_page(
    title: str,
    told: str,
    mistakes: Sequence[Mistake],
    rows: int,
    wrong: int | None,
    confused: Sequence[tuple[str, str, int]],
) -> str:
    """A page of its own: the worst mistakes of a run and its most frequent confusions; `told` says of which rows."""
    sections = [
        Section("mistakes", "Worst mistakes", mistakes_body(mistakes, rows, wrong)),
        Section("confusions", "Most frequent confusions", confusions_table(confused)),
    ]
    return document(title, f'<div class="box">{escape(told)}.</div>', sections)


def _one(one: Mistake) -> str:
    sure = "" if one.probability is None else f" ({one.probability:.1%})"
    true = "" if one.true_probability is None else f" ({one.true_probability:.1%})"
    off = f"; off by {one.wrong_by:.4g}" if one.probability is None and one.true_probability is None else ""
    head = (
        f"<p>predicted <b>{_label(one.predicted)}</b>{sure}, true <b>{_label(one.truth)}</b>{true}{off} "
        f'<span class="muted">{escape(plain_letters(Path(one.place).name))}</span></p>'
    )
    beyond = f'<p class="muted">{one.cut:,} tokens beyond the length limit were not read</p>' if one.cut else ""
    lack = f'<p class="muted">where it looked could not be had: {escape(one.unshaded)}</p>' if one.unshaded else ""
    return f'<div class="mistake">{head}<p class="text">{_text(one.pieces)}</p>{beyond}{lack}</div>'


def _label(label: str) -> str:
    shown = plain_letters(label)
    return escape(shown if len(shown) <= MOST_LABEL_LETTERS else f"{shown[: MOST_LABEL_LETTERS - 1]}…")


def _text(pieces: Sequence[Piece]) -> str:
    heaviest = max((weight for _, weight in pieces if weight is not None), default=0.0)
    stretches = excerpt(pieces)
    shown = " … ".join("".join(_piece(text, weight, heaviest) for text, weight in one) for one in stretches)
    first = bool(pieces) and bool(stretches[0]) and stretches[0][0] != pieces[0]
    last = bool(pieces) and bool(stretches[-1]) and stretches[-1][-1] != pieces[-1]
    return f"{'… ' if first else ''}{shown}{' …' if last else ''}" or '<span class="muted">(an empty text)</span>'


def _piece(text: str, weight: float | None, heaviest: float) -> str:
    letters = escape(plain_letters(text))
    share = (weight or 0.0) / heaviest if heaviest > 0 else 0.0
    if share < FAINT:
        return letters
    return f'<mark style="background:rgba(255,140,0,{share:.2f})" title="{weight:.3f}">{letters}</mark>'
