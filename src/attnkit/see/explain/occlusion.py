"""Occlusion: take tokens away and see what the prediction loses."""

from torch import Tensor

from attnkit.errors import UsageError
from attnkit.see.explain.attribution import Attribution, Found, attributed
from attnkit.see.explain.target import Item, Subject, Target


def explain(subject: Subject, item: Item, *, target: Target | None = None, span_tokens: int = 1) -> Attribution:
    """score_t = mean over the spans with t in them of f(text) - f(text without the span), f in log-odds.

    A span of `span_tokens` tokens slides over the text one token at a time; its tokens become the subject's
    replacement. With spans of one token a score is what that token alone was worth.

    Raises: UsageError where `span_tokens` is below one.
    Source: Zeiler and Fergus 2014, section 4.2; on words, Li, Monroe and Jurafsky 2016, equation 1.
    Cost: T forward passes, in batches.
    """
    if span_tokens < 1:
        raise UsageError(f"span_tokens must be at least 1; got {span_tokens}")

    def work(target: Target) -> Found:
        ids_1T, blank_1T = subject.ids_1T(item), subject.blank_1T(item)
        width = min(span_tokens, item.T)
        covered_NT = _spans(ids_1T, width)
        rows_NT = blank_1T.where(covered_NT, ids_1T)
        lost_N = target.value - subject.values(subject.answers(rows_NT), target.index).double()
        # Rounding differs from batch to batch; where nothing was taken away, nothing is lost.
        lost_N = lost_N.masked_fill((rows_NT == ids_1T).all(1), 0.0)
        covered = covered_NT.double()
        scores_T = (lost_N @ covered) / covered.sum(0)
        note = f"log-odds lost without the token, {width} at a time" if width > 1 else "log-odds lost without the token"
        return scores_T, note, {"span_tokens": float(width)}

    return attributed("occlusion", subject, item, target, work)


def _spans(ids_1T: Tensor, width: int) -> Tensor:
    """(T - width + 1, T), True where a span covers a token."""
    T = ids_1T.shape[1]
    return ids_1T.new_ones(T - width + 1, T).bool().triu().tril(width - 1)
