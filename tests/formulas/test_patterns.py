"""Patterns against the 8 x 8 picture in their docstring, and against plain Python on other sizes."""

import re

import pytest
import torch
from torch import nn

from attnkit.attention import pattern as patterns
from attnkit.attention.pattern import (
    PATTERNS,
    Anchors,
    Both,
    Causal,
    Dilated,
    Documents,
    Either,
    Fixed,
    Full,
    Neighbours2D,
    Outside,
    Prefix,
    RandomBlocks,
    Segments,
    Strided,
    Window,
)
from attnkit.attention.pattern.random_blocks import scramble
from attnkit.attention.where import Where

CLASSES = {cls.__name__: cls for cls in PATTERNS}
PICTURE = re.compile(
    r"Picture: (?P<code>.+?\))(?: with documents (?P<ids>[\d ]+))?\n\s*```\n(?P<rows>(?:\s*[#.]{8}\n){8})"
)


def pairs(pattern, where: Where) -> list[list[list[bool]]]:
    """allowed as nested lists [B][T][S]."""
    allowed = pattern.allowed(where.i, where.j, where)
    return torch.broadcast_to(allowed, (allowed.shape[0], 1, where.T, where.S))[:, 0].tolist()


@pytest.mark.parametrize("cls", PATTERNS, ids=lambda cls: cls.__name__)
def test_docstring_picture(cls) -> None:
    found = PICTURE.search(cls.__doc__)
    assert found, f"{cls.__name__} shows no picture"
    pattern = eval(found["code"], {"__builtins__": {}}, CLASSES)
    assert type(pattern) is cls
    ids = None if found["ids"] is None else torch.tensor([int(n) for n in found["ids"].split()])
    rows = pairs(pattern, Where.of(8, 8, query_document=ids, key_document=ids))[0]
    assert ["".join(".#"[seen] for seen in row) for row in rows] == found["rows"].split()


def drawn(block: int, count: int, seed: int) -> set[int]:
    def hashed(x: int) -> int:
        x = (x ^ (x // 2**16)) * 0x45D9F3B % 2**31
        x = (x ^ (x // 2**15)) * 0x2C1B3C6D % 2**31
        return x ^ (x // 2**16)

    found = set()
    for draw in range(count):
        strip = [b for b in range(block + 1) if draw * (block + 1) // count <= b < (draw + 1) * (block + 1) // count]
        if strip:
            found.add(strip[hashed(block + hashed(hashed(seed) + draw)) % len(strip)])
    return found


def grid(i: int, j: int, columns: int) -> int:
    return max(abs(i // columns - j // columns), abs(i % columns - j % columns))


FORMULAS = [
    (Full(), lambda i, j: True),
    (Causal(), lambda i, j: j <= i),
    (Window(1), lambda i, j: j == i),
    (Window(2), lambda i, j: j in (i - 1, i)),
    (Window(4), lambda i, j: j in (i - 2, i - 1, i, i + 1)),
    (Window(5), lambda i, j: abs(i - j) <= 2),
    (Window(4, causal=True), lambda i, j: j in range(i - 3, i + 1)),
    (Dilated(1, dilation=3), lambda i, j: j == i),
    (Dilated(4, dilation=3), lambda i, j: j in (i - 6, i - 3, i, i + 3)),
    (Dilated(3, dilation=2, causal=True), lambda i, j: j in (i - 4, i - 2, i)),
    (Strided(4), lambda i, j: (i - j) % 4 == 0),
    (Strided(3, causal=True), lambda i, j: j <= i and (i - j) % 3 == 0),
    (Fixed(4, summaries=2), lambda i, j: i // 4 == j // 4 or j % 4 in (2, 3)),
    (Fixed(3, causal=True), lambda i, j: j <= i and (i // 3 == j // 3 or j % 3 == 2)),
    (Fixed(1), lambda i, j: True),
    (Segments(width_tokens=3), lambda i, j: i // 3 == j // 3),
    (Anchors(2), lambda i, j: i < 2 or j < 2),
    (Prefix(3), lambda i, j: j < 3 or j <= i),
    (Neighbours2D(1), lambda i, j: abs(i - j) <= 1),
    (Neighbours2D(3), lambda i, j: grid(i, j, 3) <= 1),
    (Neighbours2D(columns=5, radius=2), lambda i, j: grid(i, j, 5) <= 2),
    (
        RandomBlocks(block_tokens=2, count=3, seed=7),
        lambda i, j: i >= 0 and (j // 2 in drawn(i // 2, 3, 7) or i // 2 in drawn(j // 2, 3, 7)),
    ),
    (Strided(2) & Causal(), lambda i, j: j <= i and (i - j) % 2 == 0),
    (Window(3) | Anchors(1), lambda i, j: abs(i - j) <= 1 or i < 1 or j < 1),
    (~Window(3), lambda i, j: abs(i - j) > 1),
    (~~Causal(), lambda i, j: j <= i),
    (~Causal() & Segments(width_tokens=4), lambda i, j: j > i and i // 4 == j // 4),
]
SIZES = [(1, 1), (7, 7), (13, 13), (3, 11), (9, 5)]


@pytest.mark.parametrize(("pattern", "meets"), FORMULAS, ids=lambda x: str(x) if not callable(x) else "")
@pytest.mark.parametrize(("T", "S"), SIZES)
def test_formula(pattern, meets, T: int, S: int) -> None:
    expected = [[meets(i, j) for j in range(S)] for i in range(S - T, S)]
    assert pairs(pattern, Where.of(T, S)) == [expected]


@pytest.mark.parametrize(("pattern", "meets"), FORMULAS, ids=lambda x: str(x) if not callable(x) else "")
def test_positions_decide_for_each_item(pattern, meets) -> None:
    queries, keys = [[4, 0, 9], [2, 2, 11]], [[9, 1, 4, 0], [3, 12, 2, 1]]
    where = Where.of(3, 4, query_position=torch.tensor(queries), key_position=torch.tensor(keys))
    assert pairs(pattern, where) == [[[meets(i, j) for j in keys[b]] for i in queries[b]] for b in range(2)]


@pytest.mark.parametrize(
    ("pattern", "meets"), [case for case in FORMULAS if case[0].causal], ids=lambda x: str(x) if not callable(x) else ""
)
def test_causal_is_claimed_only_where_no_later_key_is_met(pattern, meets) -> None:
    assert not any(meets(i, j) for i in range(-3, 12) for j in range(12) if j > i)


@pytest.mark.parametrize(
    ("pattern", "meets"),
    [case for case in FORMULAS if not case[0].causal],
    ids=lambda x: str(x) if not callable(x) else "",
)
def test_causal_is_not_withheld(pattern, meets) -> None:
    assert any(meets(i, j) for i in range(12) for j in range(i + 1, 12))


@pytest.mark.parametrize(("pattern", "meets"), FORMULAS, ids=lambda x: str(x) if not callable(x) else "")
def test_sees_itself_is_exact(pattern, meets) -> None:
    # Anchors leave rows empty only where the anchors themselves are padding, so they stay unclaimed.
    if pattern.sees_itself or pattern != Anchors(2):
        assert pattern.sees_itself == all(meets(i, i) for i in range(40)) or isinstance(pattern, RandomBlocks)


def test_causal_of_composed_and_degenerate_patterns() -> None:
    assert (Full() & Causal()).causal
    assert not (Full() | Causal()).causal
    assert (Causal() | Window(3, causal=True)).causal
    assert not (~Causal()).causal
    assert Segments(width_tokens=1).causal
    assert not Segments(count=1).causal
    assert Neighbours2D(4, radius=0).causal
    assert not Documents().causal
    assert Window(2, causal=False) == Window(2, causal=True)
    assert Window(3, causal=False) != Window(3, causal=True)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_segments_cut_the_real_length_into_equal_pieces(count: int) -> None:
    keep = torch.tensor([[True] * 7, [True] * 5 + [False] * 2, [True] + [False] * 6, [False] * 7])
    rows = pairs(Segments(count=count), Where.of(7, 7, keep=keep, query_keep=keep))
    for b, n in enumerate((7, 5, 1)):
        for i in range(n):
            assert rows[b][i][:n] == [i * count // n == j * count // n for j in range(n)]


def test_segments_read_the_lengths_where_they_are_known() -> None:
    known = pairs(Segments(count=2), Where.of(6, 6, lengths=torch.tensor([4, 6])))
    assert [row[:4] for row in known[0][:4]] == [[True, True, False, False]] * 2 + [[False, False, True, True]] * 2
    assert known[1][2] == [True, True, True, False, False, False]


def test_a_count_of_segments_refuses_a_cache_and_says_what_to_do() -> None:
    assert "width_tokens" in Segments(count=3).refuses_cache()
    assert Segments(width_tokens=3).refuses_cache() is None
    for composed in (Causal() & Segments(count=3), Segments(count=3) | Causal(), ~Segments(count=3)):
        assert composed.refuses_cache() == Segments(count=3).refuses_cache()


def test_documents_differ_by_item_and_are_asked_for() -> None:
    ids = torch.tensor([[0, 0, 1], [5, 4, 5]])
    rows = pairs(Documents(), Where.of(3, 3, query_document=ids, key_document=ids))
    assert rows == [[[a == b for b in item] for a in item] for item in ids.tolist()]
    with pytest.raises(ValueError, match="query_document and key_document"):
        pairs(Documents(), Where.of(3, 3, query_document=ids))


def test_random_blocks_do_not_depend_on_the_length_and_do_depend_on_the_seed() -> None:
    pattern = RandomBlocks(block_tokens=3, count=2, seed=1)
    short, long = pairs(pattern, Where.of(20, 20))[0], pairs(pattern, Where.of(50, 50))[0]
    assert [row[:20] for row in long[:20]] == short
    assert pairs(RandomBlocks(3, 2, seed=2), Where.of(50, 50))[0] != long
    for i in range(50):
        assert [long[j][i] for j in range(50)] == long[i]
        drawn_blocks = {j // 3 for j in range(i // 3 * 3 + 3) if j < 50 and long[i][j]}
        assert len(drawn_blocks) >= min(2, i // 3 + 1)


def test_random_blocks_are_spread() -> None:
    last = [pairs(RandomBlocks(1, 1, seed=seed), Where.of(1, 16))[0][0].index(True) for seed in range(400)]
    counts = [last.count(block) for block in range(16)]
    assert min(counts) >= 8 and max(counts) <= 50
    assert scramble(0) != scramble(1)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Window(0), "Window.width_tokens"),
        (lambda: Dilated(0), "Dilated.width_keys"),
        (lambda: Dilated(3, dilation=0), "Dilated.dilation"),
        (lambda: Strided(0), "Strided.stride"),
        (lambda: Fixed(0), "Fixed.stride"),
        (lambda: Fixed(3, summaries=4), "Fixed.summaries"),
        (lambda: Fixed(3, summaries=0), "Fixed.summaries"),
        (lambda: Segments(), "width_tokens and count"),
        (lambda: Segments(2, 2), "width_tokens and count"),
        (lambda: Segments(width_tokens=0), "Segments.width_tokens"),
        (lambda: Segments(count=0), "Segments.count"),
        (lambda: Anchors(0), "Anchors.count"),
        (lambda: Prefix(0), "Prefix.length_tokens"),
        (lambda: Neighbours2D(0), "Neighbours2D.columns"),
        (lambda: Neighbours2D(3, radius=-1), "Neighbours2D.radius"),
        (lambda: RandomBlocks(0, 1), "RandomBlocks.block_tokens"),
        (lambda: RandomBlocks(1, 0), "RandomBlocks.count"),
        (lambda: RandomBlocks(1, 1, seed=-1), "RandomBlocks.seed"),
        (lambda: Both(Full(), 3), "Both.second"),
        (lambda: Either(3, Full()), "Either.first"),
        (lambda: Outside(None), "Outside.inner"),
    ],
)
def test_a_bad_field_is_named(make, field: str) -> None:
    with pytest.raises(ValueError, match=re.escape(field)):
        make()


def test_every_pattern_of_the_folder_stands_in_its_tuple() -> None:
    concrete = {x for x in vars(patterns).values() if isinstance(x, type)}
    assert concrete == set(PATTERNS)


class Allowed(nn.Module):
    def __init__(self, pattern) -> None:
        super().__init__()
        self.pattern = pattern

    def forward(self, i, j, keep, ids):
        where = Where(i, j, keep, keep, ids, ids)
        return self.pattern.allowed(where.i, where.j, where)


@pytest.mark.parametrize(
    "pattern", [case[0] for case in FORMULAS] + [Segments(count=3), Documents()], ids=lambda pattern: str(pattern)
)
def test_exports_with_free_sizes(pattern) -> None:
    def sizes(B: int, L: int):
        position = torch.arange(L).expand(B, L).contiguous()
        keep = torch.arange(L) < torch.arange(B)[:, None] + 2
        return position, position, keep, position // 3

    batch, length = torch.export.Dim("B"), torch.export.Dim("L", min=2)
    module = Allowed(pattern)
    shapes = ({0: batch, 1: length},) * 4
    exported = torch.export.export(module, sizes(2, 6), dynamic_shapes=shapes).module()
    for B, L in ((2, 6), (3, 17)):
        args = sizes(B, L)
        assert torch.equal(exported(*args), module(*args))
