"""Raw attention: the weights of what reads the last layer, as they are."""

from attnkit.see.explain.attribution import Attribution, Found, attributed
from attnkit.see.explain.rollout import heard, led, start
from attnkit.see.explain.target import Item, Subject, Target


def explain(subject: Subject, item: Item, *, target: Target | None = None) -> Attribution:
    """score_s = A_s of the pooling, mean over heads and queries; without one, of the last layer's row that is read.

    Of several poolings side by side it is the mean.

    Raises: UsageError where no attention can be listened to.
    Source: Bahdanau et al. 2015, section 5.2.1; on what it does not show, Jain and Wallace 2019.
    Cost: a forward pass, and about one more call of one attention.
    """

    def work(target: Target) -> Found:
        seen = heard(subject, item)
        x_1T, layers = start(seen, subject.reads)
        pooled = len(layers) < len(seen)
        scores_1T = x_1T if pooled else led(seen[-1], x_1T)
        where = "the pooling" if pooled else f"the last layer at the {subject.reads} token"
        return scores_1T[0], f"weights of {where}, mean over heads", {}

    return attributed("attention", subject, item, target, work)
