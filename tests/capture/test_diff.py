"""diff: divergences held to dense ones in float64, a planted change found, and no verdict without a null."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.factored import Linear, Linformer
from attnkit.attention.normalizer import Sigmoid, Sparsemax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims
from attnkit.attention.pattern import Causal, Window
from attnkit.attention.where import Where
from attnkit.capture import divergence
from attnkit.capture.captured import Capture, Wanted
from attnkit.capture.diff import diff
from attnkit.capture.divergence import jensen_shannon, pooled_divergences, row_divergences
from attnkit.capture.measure import measure
from attnkit.layers.taps import Seen

B, H, T, D = 2, 4, 23, 8
KEEP = torch.arange(T) < torch.tensor([[T], [15]])
TOKENS = [[f"w{n}" for n in range(T)], [f"w{n}" for n in range(15)]]


def seen(seed: int = 0, spec: Attention | None = None, name: str = "layer", keep: Tensor | None = KEEP) -> Seen:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(B, H, T, D, generator=generator) for _ in range(3))
    where = Where.of(T, T, keep=keep, query_keep=keep)
    spec = Pairwise(pattern=Causal()) if spec is None else spec
    return Seen(name, spec, q, k, v, where, {}, None, torch.zeros(B, H, T, D))


def moved(one: Seen, by: float, head: int | None = None, seed: int = 5) -> Seen:
    """The same call with the queries of all heads, or of one, a little elsewhere."""
    noise = by * torch.randn(one.q_BHTD.shape, generator=torch.Generator().manual_seed(seed))
    if head is not None:
        noise = noise * (torch.arange(H) == head)[:, None, None]
    return Seen(one.name, one.spec, one.q_BHTD + noise, one.k_BGSD, one.v_BGSE, one.where, {}, None, one.out_BHTE)


def captured(*calls: Seen, level: str = "full", streams: bool = True, **wanted: int) -> Capture:
    layers = [measure(one, "self", Wanted(level=level, **wanted)) for one in calls]  # type: ignore[arg-type]
    return Capture(layers, {"text": TOKENS} if streams else {}, title=level)


def _of(
    length: int, heads: int = H
) -> tuple[Attention, Tensor, Tensor, Tensor, Where, dict[str, Tensor], None, Tensor]:
    """The fields of a call of other sizes, after its name."""
    x = torch.zeros(B, heads, length, D)
    return Pairwise(), x, x, x, Where.of(length, length), {}, None, x


def plain_divergence(p: list[float], q: list[float]) -> float:
    """JSD / ln 2 in plain Python."""

    def against(a: list[float], b: list[float]) -> float:
        return sum(x * math.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)

    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (against(p, middle) + against(q, middle)) / 2 / math.log(2)


def dense(first: Seen, second: Seen) -> Tensor:
    """(B, H, T) from whole maps in float64."""
    found = torch.zeros(B, H, T, dtype=torch.float64)
    maps = []
    for one in (first, second):
        whole = one.spec.matrix(one.q_BHTD.double(), one.k_BGSD.double(), one.where, one.params)
        total = whole.sum(-1, keepdim=True)
        maps.append((whole / total.masked_fill(total == 0, 1.0)).tolist())
    for b in range(B):
        for h in range(H):
            for t in range(T):
                found[b, h, t] = plain_divergence(maps[0][b][h][t], maps[1][b][h][t])
    return found


def test_jensen_shannon_by_hand() -> None:
    # Half the weight moves to another key: (1/2) log2(4/3) + (1/2) (1/2 log2(2/3) + 1/2 log2 2) = 0.3113.
    a, b = torch.tensor([1.0, 0.0, 0.0]).double(), torch.tensor([2.0, 2.0, 0.0]).double()
    assert float(jensen_shannon(a, b)) == pytest.approx(0.311278124459, abs=1e-10)
    assert float(jensen_shannon(a, torch.tensor([0.0, 0.0, 7.0]).double())) == 1.0
    assert float(jensen_shannon(a, torch.zeros(3))) == 1.0
    assert float(jensen_shannon(torch.zeros(3), torch.zeros(3))) == 0.0


@pytest.mark.parametrize(
    "spec",
    [Pairwise(pattern=Causal()), Pairwise(pattern=Window(5)), Pairwise(normalizer=Sparsemax()), Linear()],
    ids=str,
)
def test_divergences_are_those_of_the_dense_maps(spec: Attention, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divergence, "ROW_NUMBERS", 5 * B * H * T)
    first, second = seen(0, spec), seen(1, spec)
    (found,) = row_divergences(first, [second])
    torch.testing.assert_close(found, dense(first, second), atol=1e-5, rtol=0)
    (back,) = row_divergences(second, [first])
    assert torch.equal(found, back)
    assert float(row_divergences(first, [first])[0].abs().max()) == 0.0
    both = row_divergences(first, [second, first])
    assert torch.equal(both[0], found) and not both[1].any()


def test_rows_of_a_sigmoid_are_compared_as_shares() -> None:
    first = seen(0, Pairwise(normalizer=Sigmoid()))
    second = seen(1, Pairwise(normalizer=Sigmoid()))
    torch.testing.assert_close(row_divergences(first, [second])[0], dense(first, second), atol=1e-5, rtol=0)


def test_the_mean_of_a_head_is_over_real_queries() -> None:
    first, second = seen(0), seen(1)
    found = diff(captured(first), captured(second))
    rows = dense(first, second)
    for one in found.heads:
        real = rows[:, one.head][KEEP]
        assert one.divergence == pytest.approx(float(real.mean()), abs=1e-6) and one.basis == "rows"


def test_pooled_maps_say_no_more_than_rows_do() -> None:
    first, second = seen(0), seen(1)
    exact = {one.head: one.divergence for one in diff(captured(first), captured(second)).heads}
    pooled = diff(captured(first, level="maps", blocks=8), captured(second, level="maps", blocks=8))
    for one in pooled.heads:
        assert one.basis == "pooled" and 0.01 < one.divergence <= exact[one.head]
    assert "lower bound" in str(pooled)
    # As many blocks as tokens: the pooled map is the map.
    for one in diff(captured(first, level="maps"), captured(second)).heads:
        assert one.divergence == pytest.approx(exact[one.head], abs=1e-5)


def test_a_planted_change_is_ranked_first_and_alone_beyond_the_null() -> None:
    first = [seen(layer, name=f"layer{layer}") for layer in range(3)]
    trained = [moved(one, 0.05) for one in first]
    second = [
        moved(moved(one, 0.05, seed=7), 1.0, head=2) if n == 1 else moved(one, 0.05) for n, one in enumerate(first)
    ]
    null = captured(*(moved(one, 0.1, seed=8) for one in first))
    found = diff(captured(*first), captured(*second), [null, captured(*trained)])
    assert (found.heads[0].layer, found.heads[0].head) == ("layer1", 2)
    assert [found.changed(one) for one in found.heads] == [True] + [False] * 11
    assert found.verdict.startswith("1 of 12 heads changed by more than their null") and found.null_count == 2
    assert found.heads[0].null == max(found.heads[0].nulls) and len(found.heads[0].nulls) == 2
    # Beside a null that is itself another model, nothing stands out.
    other = captured(*(seen(10 + n, name=one.name) for n, one in enumerate(first)))
    beside = diff(captured(*first), captured(*second), other)
    assert beside.heads[0].null is not None and beside.verdict.startswith("0 of 12")


def test_ranking_is_by_what_is_beyond_the_null() -> None:
    first = seen(0)
    second, null = moved(moved(first, 1.5, head=0), 0.5, head=3), moved(first, 1.5, head=0)
    assert diff(captured(first), captured(second)).heads[0].head == 0
    assert diff(captured(first), captured(second), captured(null)).heads[0].head == 3


def test_rounding_is_no_change() -> None:
    first = seen(0)
    found = diff(captured(first), captured(moved(first, 1e-7)), captured(first))
    assert all(found.changed(one) is False for one in found.heads)


def test_without_a_null_there_is_no_verdict() -> None:
    found = diff(captured(seen(0)), captured(seen(1)))
    assert "no verdict" in found.verdict and "0.36" in str(found)
    assert all(found.changed(one) is None and one.null is None for one in found.heads) and found.threshold is None
    assert found.heads[0].excess == found.heads[0].divergence


def test_a_capture_does_not_differ_from_itself() -> None:
    one = captured(seen(0))
    found = diff(one, one, one)
    for head in found.heads:
        assert head.divergence == 0.0 and head.change("entropy") == 0.0 and head.roles[0] == head.roles[1]
    assert found.verdict.startswith("0 of 4")


def test_changes_of_statistics_are_means_over_real_queries() -> None:
    first, second = captured(seen(0)), captured(seen(1))
    found = diff(first, second)
    for one in found.heads:
        for name in ("entropy", "span", "distance", "sink"):
            means = [float(side.layers[0].statistics[name][:, one.head][KEEP].mean()) for side in (first, second)]
            assert one.measures[name] == pytest.approx(tuple(means), abs=1e-5)
            assert one.change(name) == pytest.approx(means[1] - means[0], abs=1e-5)


def test_a_change_of_role_is_told() -> None:
    first = seen(0)
    q = first.q_BHTD.clone()
    q[:, 1] = 40.0 * first.k_BGSD[:, 1, :1] / first.k_BGSD[:, 1, :1].norm(dim=-1, keepdim=True)
    k = first.k_BGSD.clone()
    k[:, 1, 1:] = -first.k_BGSD[:, 1, :1]
    second = Seen("layer", first.spec, q, k, first.v_BGSE, first.where, {}, None, first.out_BHTE)
    found = diff(captured(first), captured(second))
    changed = next(one for one in found.heads if one.head == 1)
    assert changed.roles[1] == "sink" and changed.roles[0] != "sink"
    assert "-> sink" in str(found)


def test_other_inputs_are_refused_with_the_first_token_that_differs() -> None:
    first, second = captured(seen(0)), captured(seen(1))
    second.streams = {"text": [TOKENS[0], [*TOKENS[1][:4], "other", *TOKENS[1][5:]]]}
    with pytest.raises(ValueError, match="item 1 token 4 is 'w4' in the first and 'other' in the second"):
        diff(first, second)
    second.streams = {"text": [TOKENS[0], TOKENS[1][:-1]]}
    with pytest.raises(ValueError, match="token 14 is 'w14' in the first and no token in the second"):
        diff(first, second)
    second.streams = {}
    with pytest.raises(ValueError, match="the first has text, the second none"):
        diff(first, second)
    with pytest.raises(ValueError, match="the second none|null 1 none"):
        diff(first, first, second)
    unnamed = captured(seen(0), streams=False)
    assert "nobody checked" in diff(unnamed, second).notes[0]


def test_what_one_side_lacks_is_listed() -> None:
    first = captured(seen(0, name="a"), seen(1, name="b"), seen(2, name="wide"))
    second = captured(seen(0, name="a"), seen(1, name="c"))
    fewer = Seen("wide", *_of(T, 2))
    second.layers += captured(fewer).layers
    found = diff(first, second, captured(seen(3, name="b")))
    assert {one.layer for one in found.heads} == {"a"}
    told = " | ".join(found.missing)
    for words in (
        "'b' (4 heads) is not in the second",
        "'c' (4 heads) is not in the first",
        "'wide' has 4 heads",
        "'a' is in 0 of 1",
    ):
        assert words in told and words in str(found)


def test_a_null_of_another_shape_is_listed_and_not_used() -> None:
    first, second = captured(seen(0, name="a")), captured(seen(1, name="a"))
    found = diff(first, second, [captured(Seen("a", *_of(T, 2))), captured(seen(2, name="a"))])
    assert found.missing == ("layer 'a' is in 1 of 2 nulls with the same shape",)
    assert all(len(one.nulls) == 1 for one in found.heads)


def test_pooled_rows_count_by_their_real_queries() -> None:
    """Blocks of 8: the second item's last block but one holds 7 real queries, its last none."""
    sides = [captured(seen(seed), level="maps", blocks=3) for seed in (0, 1)]
    pooled = [side.layers[0].pooled for side in sides]
    assert pooled[0] is not None and pooled[1] is not None and pooled[0].query_tokens == 8
    apart = jensen_shannon(pooled[0].mass_BHRC, pooled[1].mass_BHRC)
    real = torch.tensor([[8, 8, 7], [8, 7, 0]])
    for one in diff(*sides).heads:
        mean = (apart[:, one.head] * real).sum() / real.sum()
        assert one.divergence == pytest.approx(float(mean), abs=1e-9)


def test_what_cannot_be_compared_says_why() -> None:
    stats = diff(captured(seen(0), level="stats"), captured(seen(1)))
    assert stats.heads[0].divergence is None and stats.heads[0].change("entropy") is not None
    assert "level='maps'" in stats.verdict and stats.verdict.startswith("Nothing could be compared")
    blocks = diff(captured(seen(0), level="maps", blocks=4), captured(seen(1), level="maps", blocks=8))
    assert "other sizes" in blocks.verdict
    coarse, fine = (captured(seen(0), blocks=number).layers[0].pooled for number in (4, 8))
    assert coarse is not None and fine is not None
    with pytest.raises(ValueError, match="no rows in common"):
        pooled_divergences(coarse, [fine])
    with pytest.raises(ValueError, match="no rows in common"):
        row_divergences(seen(0), [Seen("x", *_of(5))])


def test_weights_that_may_be_negative_are_no_shares() -> None:
    spec = Linformer(4, T)
    specs = spec.parameters(Dims(H, D, D))
    generator = torch.Generator().manual_seed(3)
    params = {name: torch.randn(one.shape, generator=generator) for name, one in specs.items()}
    sides = [captured(replace(seen(seed, spec), params=params)) for seed in (0, 1)]
    found = diff(*sides)
    assert found.heads[0].divergence is None and "may be negative" in found.verdict


def test_a_diff_is_plain_data_and_a_table() -> None:
    first, second = captured(seen(0)), captured(seen(1))
    plain = json.loads(json.dumps(diff(first, second, captured(moved(seen(0), 0.1))).to_dict()))
    assert len(plain["heads"]) == H and plain["heads"][0]["rank"] == 1 and plain["heads"][0]["changed"] is True
    assert set(plain["heads"][0]["measures"]["entropy"]) == {"before", "after", "change"}
    lines = str(diff(first, second)).splitlines()
    assert lines[2].split()[:4] == ["layer", "head", "JSD", "null"] and len(lines) == 3 + H
    assert "... and 3 more" in diff(first, second).table(1)
