"""A small capture of made-up sentences: heads of known kinds, roles, explanations with verdicts, and a second model."""

import torch
from torch import Tensor

from attnkit.capture.captured import Capture
from tests.web.captures import capture_of_maps

SENTENCES = (
    "[CLS] The light ##house keeper wrote a letter to the harbor , and the harbor answered with a lantern . "
    "The keeper read the answer twice , lit the lamp , and wrote another letter . "
    "When the fog came , the boats followed the lamp and the keeper counted them , one by one , until the last "
    "of the little boats was safe behind the wall . [SEP]"
)
KINDS = ("sink", "previous", "next", "diagonal", "local", "duplicate", "induction", "diffuse", "stripe", "delimiter")


def maps_of(
    tokens: list[str], layers: int, heads: int, seed: int, sharp: float = 1.0
) -> tuple[Tensor, list[list[str]]]:
    """(layers, heads, T, T) of bidirectional attention, and the kind of each head."""
    generator = torch.Generator().manual_seed(seed)
    T = len(tokens)
    i, j = torch.arange(T)[:, None], torch.arange(T)[None, :]
    same = torch.tensor([[a.lower() == b.lower() for b in tokens] for a in tokens])
    ends = torch.tensor([token in {".", ",", "[SEP]"} for token in tokens])
    follows = torch.zeros(T, T)
    follows[:, 1:] = (same & (i != j))[:, :-1].float()
    scores = {
        "sink": 5.0 * (j == 0),
        "previous": 6.0 * (j == i - 1),
        "next": 6.0 * (j == i + 1),
        "diagonal": 5.0 * (i == j),
        "local": -((i - j).abs() / 2.0),
        "duplicate": 4.5 * (same & (i != j)),
        "induction": 5.0 * follows,
        "diffuse": torch.zeros(T, T),
        "stripe": 3.5 * (j % 9 == 4),
        "delimiter": 4.0 * ends[None, :],
    }
    maps, kinds = [], []
    for _ in range(layers * heads):
        kind = KINDS[int(torch.randint(len(KINDS), (), generator=generator))]
        noise = torch.randn(T, T, generator=generator) * 0.7
        maps.append(torch.softmax(sharp * scores[kind].float().expand(T, T) + noise, -1))
        kinds.append(kind)
    split = [kinds[n * heads : (n + 1) * heads] for n in range(layers)]
    return torch.stack(maps).unflatten(0, (layers, heads)), split


def _explained(method: str, scores: list[float], gain: float, word: str) -> dict[str, object]:
    estimate = {"value": gain, "low": gain - 0.06, "high": gain + 0.06}
    said = f"{gain:.2f} [{gain - 0.06:.2f}, {gain + 0.06:.2f}]"
    return {
        "method": method,
        "stream": "text",
        "item": 0,
        "scores": scores,
        "verdict": f"{word}: deletes the prediction {said} sooner than a random ranking",
        "details": {
            "target": {"index": 1, "label": "about the sea", "value": 2.1, "share": 0.89},
            "seconds": 0.2,
            "note": "",
            "verdict": {"word": word, "deletion": estimate, "comprehensiveness": estimate},
        },
    }


def example(second: bool = False, layers: int = 6, heads: int = 8) -> Capture:
    """What a small encoder might do with SENTENCES; the second is the same, trained on a little."""
    tokens = SENTENCES.split()
    maps, kinds = maps_of(tokens, layers, heads, seed=4)
    if second:
        other, _ = maps_of(tokens, layers, heads, seed=4, sharp=0.6)
        changed = torch.rand(layers, heads, 1, 1, generator=torch.Generator().manual_seed(9)) < 0.4
        maps = torch.where(changed, other, maps)
    roles: list[list[list[dict[str, object]]]] = [
        [[{"role": kind, "score": round(0.95 - 0.06 * (h % 5), 2)}] for h, kind in enumerate(layer)] for layer in kinds
    ]
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(len(tokens), generator=generator) * 0.12
    told = torch.tensor(
        [1.0 if t in {"keeper", "lamp", "lantern"} else 0.35 if t in {"safe", "letter"} else 0.0 for t in tokens]
    )
    explanations = [
        _explained("occlusion", (told + noise - 0.06).tolist(), 0.41, "faithful"),
        _explained("gradient_x_attention", (told * 0.6 + noise).tolist(), 0.33, "faithful"),
        _explained("rollout", (noise * 6).tolist(), 0.01, "no better than random here"),
    ]
    return capture_of_maps(
        tokens,
        maps,
        title="A keeper of lamps, after a day of training" if second else "A keeper of lamps",
        roles=roles,
        edges=12,
        notes=["The weights are made up, to show each kind of head."],
        explanations=[] if second else explanations,
    )
