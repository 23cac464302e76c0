"""How far one model's predictions are from another's, whatever the task."""

from torch import Tensor
from torch.nn import functional as F

from attnkit.task.base import Task


def divergence(task: Task, reference: Tensor, logits: Tensor, temperature: float = 1.0) -> Tensor:
    """The mean over rows of T^2 KL(p || q), with p and q what `reference` and `logits`, both (B, C), say over T.

    One class: of the softmax. Several labels: of each label's two outcomes, the mean over labels. Scores: half the
    squared difference, which is the divergence of two normal distributions of deviation T times T^2.

    Source: T^2, Hinton et al. (2015), section 2.
    """
    if task.kind == "score":
        return (reference - logits).square().mean() / 2
    p, q = reference / temperature, logits / temperature
    if task.kind == "multi":
        on, off = F.logsigmoid(p), F.logsigmoid(-p)
        found = on.exp() * (on - F.logsigmoid(q)) + off.exp() * (off - F.logsigmoid(-q))
        return temperature**2 * found.mean()
    log_p = p.log_softmax(-1)
    return temperature**2 * (log_p.exp() * (log_p - q.log_softmax(-1))).sum(-1).mean()
