"""The table of roles: every head of a model with what it does best, the clearest first."""

import math
from collections.abc import Mapping
from typing import Any

from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.capture.roles.layer import roles_of_layer


def role_table(capture: Capture) -> list[dict[str, object]]:
    """A line a head: layer, head, role, score, chance, evidence and more; the clearest first.

    `role` is the best name the head gets, None where it gets none: the rest of the line is then about the role it comes
    nearest to, which `nearest` says. `strength` is the lift in thresholds. Layers without roles get
    theirs here, from what was kept of them.

    Cost: nothing where roles were recorded, else that of `roles_of_layer`.
    """
    lines = [_line(layer, head, roles) for layer in capture.layers for head, roles in enumerate(_roles(capture, layer))]
    return sorted(lines, key=lambda line: (line["role"] is None, -_number(line["strength"])))


def _roles(capture: Capture, layer: CapturedLayer) -> list[list[dict[str, Any]]]:
    if layer.roles is not None:
        return layer.roles
    tokens = None if layer.key_stream is None else capture.streams.get(layer.key_stream)
    return [[one.to_dict() for one in scores] for scores in roles_of_layer(layer, tokens)]


def _line(layer: CapturedLayer, head: int, roles: list[dict[str, Any]]) -> dict[str, object]:
    best: Mapping[str, Any] = roles[0] if roles else {"role": None, "named": False, "reason": "no role was looked for"}
    named = [one["role"] for one in roles if one["named"]]
    return {
        "layer": layer.name,
        "head": head,
        "role": named[0] if named else None,
        "nearest": best["role"],
        "score": best.get("score"),
        "chance": best.get("chance"),
        "lift": best.get("lift"),
        "strength": None if best.get("lift") is None else best["lift"] / best["threshold"],
        "mean": best.get("mean"),
        "spread": best.get("spread"),
        "n": best.get("n", 0),
        "queries": best.get("queries", 0),
        "others": named[1:],
        "evidence": _evidence(best),
        "examples": best.get("examples", []),
    }


def _evidence(one: Mapping[str, Any]) -> str:
    """The numbers in a sentence, with the plainest example."""
    if one.get("score") is None:
        return str(one.get("reason") or "not decided")
    counted = f"{one['score']:.2f} of the weight, {one['chance']:.2f} by chance, over {one['queries']} queries"
    if one["role"] == "diffuse":
        counted = f"{one['score']:.2f} of the largest entropy, over {one['queries']} queries"
    if one.get("n", 0) > 1:
        counted += f"; {one['mean']:.2f} ± {one['spread']:.2f} over {one['n']} items"
    for example in one.get("examples", []):
        query, key = (example[f"{side}_token"] or f"#{example[side]}" for side in ("query", "key"))
        return f"{counted}; {query!r} reads {key!r} with {example['weight']:.2f}"
    return counted


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else -math.inf
