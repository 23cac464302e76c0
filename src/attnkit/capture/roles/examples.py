"""Examples: the queries and keys that show what a head is named for, with their exact weights."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from attnkit.capture.roles.blocks import some_rows
from attnkit.capture.roles.role import Found, Role
from attnkit.capture.roles.score import EXAMPLES, RoleScore
from attnkit.layers.taps import Seen

# Numbers of rows made at once, 16 MiB in float32.
ROW_NUMBERS = 1 << 22


def with_examples(
    seen: Seen, found: Found, roles: Mapping[str, Role], heads: list[list[RoleScore]]
) -> list[list[RoleScore]]:
    """The same scores, those of named roles with up to three examples, the plainest first."""
    wanted: dict[int, list[tuple[int, int, int]]] = {}
    shows: dict[str, Tensor] = {}
    for head, scores in enumerate(heads):
        for place, one in enumerate(scores):
            if one.named:
                if one.role not in shows:
                    shows[one.role] = roles[one.role].shows_BHT(found) * found.counted_BT[:, None]
                for item, query in _best(shows[one.role][:, head]):
                    wanted.setdefault(item, []).append((query, head, place))
    kept: dict[tuple[int, int], list[dict[str, object]]] = {}
    for item, picks in wanted.items():
        for rows, some in _rows(seen, item, sorted(picks)):
            for row_HS, (query, head, place) in zip(rows, some, strict=True):
                role = roles[heads[head][place].role]
                mask = role.keys(found, item, head, query)
                key = int(torch.where(mask, row_HS[head], -1.0).argmax())
                kept.setdefault((head, place), []).append(_example(found, item, query, key, float(row_HS[head, key])))
    return [
        [
            replace(one, examples=tuple(sorted(kept.get((head, place), []), key=_falling)))
            for place, one in enumerate(scores)
        ]
        for head, scores in enumerate(heads)
    ]


def _best(shown_BT: Tensor) -> Iterator[tuple[int, int]]:
    """Item and query of the rows that show the most."""
    value, index = shown_BT.flatten().topk(min(EXAMPLES, shown_BT.numel()))
    for share, where in zip(value.tolist(), index.tolist(), strict=True):
        if share > 0:
            yield divmod(where, shown_BT.shape[1])


def _rows(
    seen: Seen, item: int, picks: list[tuple[int, int, int]]
) -> Iterator[tuple[list[Tensor], list[tuple[int, int, int]]]]:
    """A few rows (H, S) at a time, with what each was picked for."""
    one = slice(item, item + 1)
    own = replace(
        seen,
        q_BHTD=seen.q_BHTD[one],
        k_BGSD=seen.k_BGSD[one],
        v_BGSE=seen.v_BGSE[one],
        where=seen.where.item(item),
        state=None if seen.state is None else seen.state[one],
    )
    together = max(1, ROW_NUMBERS // max(1, seen.q_BHTD.shape[1] * seen.where.S))
    for start in range(0, len(picks), together):
        some = picks[start : start + together]
        indices = torch.tensor([query for query, _, _ in some], device=seen.q_BHTD.device)
        yield list(some_rows(own, indices)[0].unbind(1)), some


def _example(found: Found, item: int, query: int, key: int, weight: float) -> dict[str, object]:
    tokens = found.scene.tokens
    return {
        "item": item,
        "query": query,
        "key": key,
        "query_token": found.scene.query_token(item, query),
        "key_token": None if tokens is None else tokens[item][key],
        "weight": round(weight, 6),
    }


def _falling(example: dict[str, object]) -> float:
    weight = example["weight"]
    assert isinstance(weight, float)
    return -weight
