"""Head ablation: silence one head, and see what the predictions lose."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from attnkit.errors import UsageError
from attnkit.see.explain.listen import changed, listening
from attnkit.see.explain.target import TOKENS_A_CALL, Item, Subject
from attnkit.see.explain.verdict import Estimate, over_texts


@dataclass(frozen=True)
class HeadEffect:
    """What silencing one head does to the predictions of some texts, in the mean, with a 95 % interval over texts.

    `value` is the log-odds lost by the explained class (of a score: how much it falls), `loss` how much its
    -log probability rises (of a score: the same as `value`), `changed` the share of texts that are then given another
    class (of scores: 0). With one text intervals are the value itself, with fewer than six they hold less than 95 %.
    """

    layer: str
    head: int
    value: Estimate
    loss: Estimate
    changed: float
    texts: int

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def rank_heads(
    subject: Subject, items: Sequence[Item], *, labels: Sequence[int] | None = None, seed: int = 0
) -> list[HeadEffect]:
    """Every head of every attention, the one whose silence costs most first.

    A head is silent where its mixed values are zero. `labels` are the outputs to explain, a number a text; the
    likeliest where None.

    Raises: UsageError where there is no text, labels do not match, or no attention can be listened to.
    Source: Michel, Levy and Neubig 2019, section 3.1.
    Cost: a forward pass a text and head, in batches.
    """
    if not items:
        raise UsageError("there is no text to rank heads on; give at least one")
    if labels is not None and len(labels) != len(items):
        raise UsageError(f"labels must be one number a text; got {len(labels)} for {len(items)} texts")
    heads = _heads(subject, items[0])
    lost, risen, turned = [], [], []
    for number, item in enumerate(items):
        target = subject.target(item, None if labels is None else labels[number])
        logits_NC, whole_C = _silenced(subject, item, heads), subject.answers(subject.ids_1T(item))[0]
        value_N = subject.values(logits_NC, target.index).double()
        lost.append(target.value - value_N)
        risen.append(_losses(subject, value_N) - _losses(subject, torch.tensor(target.value).double()))
        turned.append(_turned(subject, logits_NC, whole_C))
    lost_NX, risen_NX, turned_NX = (np.array(torch.stack(x).tolist()) for x in (lost, risen, turned))
    effects = [
        HeadEffect(
            layer,
            head,
            over_texts(lost_NX[:, place], seed),
            over_texts(risen_NX[:, place], seed),
            float(turned_NX[:, place].mean()),
            len(items),
        )
        for place, (layer, head) in enumerate(heads)
    ]
    return sorted(effects, key=lambda effect: -effect.value.value)


def _turned(subject: Subject, logits_NC: Tensor, whole_C: Tensor) -> Tensor:
    """1 where another class, or another set of labels, is given than by the whole model; 0 for scores."""
    if subject.kind == "multi":
        return ((logits_NC > 0) != (whole_C > 0)).any(-1).double()
    return (logits_NC.argmax(-1) != whole_C.argmax()).double()


def _heads(subject: Subject, item: Item) -> list[tuple[str, int]]:
    with torch.no_grad(), listening(subject.network) as seen:
        subject.called(subject.ids_1T(item))
    width: dict[str, int] = {}
    for one in seen:
        width.setdefault(one.name, one.q_BHTD.shape[1])
    return [(name, head) for name, count in width.items() for head in range(count)]


def _silenced(subject: Subject, item: Item, heads: list[tuple[str, int]]) -> Tensor:
    """Logits (heads, C), a row for each head that is silent in it."""
    ids_1T = subject.ids_1T(item)
    rows = max(1, TOKENS_A_CALL // max(1, item.T))
    found = []
    for start in range(0, len(heads), rows):
        some = heads[start : start + rows]

        def silence(name: str, out_BHTE: Tensor, some: list[tuple[str, int]] = some) -> Tensor:
            silent = torch.tensor(
                [[name == layer and at == head for at in range(out_BHTE.shape[1])] for layer, head in some],
                device=out_BHTE.device,
            )
            return out_BHTE.masked_fill(silent[:, :, None, None], 0.0)

        with torch.no_grad(), changed(subject.network, output=silence):
            found.append(subject.called(ids_1T.expand(len(some), -1)))
    return torch.cat(found)


def _losses(subject: Subject, value: Tensor) -> Tensor:
    """-log p of the explained class from its log-odds; of a score its negative."""
    return -value if subject.kind == "score" else torch.nn.functional.softplus(-value)
