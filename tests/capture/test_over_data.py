"""over_data: what is added up capture by capture, held to the same numbers all at once."""

import pytest
import torch
from torch import Tensor

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal
from attnkit.attention.where import Where
from attnkit.capture.captured import Capture, CapturedLayer, Check, Wanted
from attnkit.capture.measure import measure
from attnkit.capture.over_data import QUANTILES, OverData
from attnkit.capture.sketch import Sketch
from attnkit.layers.taps import Seen


def captured(seed: int, T: int = 30, rows: int | None = None) -> Capture:
    """Two layers of three heads on two texts of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    keep = torch.arange(T) < torch.tensor([[T], [T // 2]])
    layers = []
    for name, spec in (("first", Pairwise()), ("second", Pairwise(pattern=Causal()))):
        q, k, v = (torch.randn(2, 3, T, 4, generator=generator) for _ in range(3))
        seen = Seen(name, spec, q, k, v, Where.of(T, T, keep=keep), {}, None, q)
        kind = "self" if name == "second" else "cross"
        layers.append(measure(seen, kind, Wanted("stats", rows=rows)))  # type: ignore[arg-type]
    return Capture(layers)


def everything(captures: list[Capture], layer: str, name: str) -> Tensor:
    """(H, N) of all real tokens, in float64."""
    found = []
    for capture in captures:
        own = capture.layer(layer)
        keep = own.key_keep if name.startswith("received") else own.query_keep
        for item in range(own.batch):
            values = own.statistics[name][item]
            there = torch.ones(own.T, dtype=torch.bool) if keep is None else keep[item]
            if own.rows is not None and not name.startswith("received"):
                there = there[own.rows]
            found.append(values[:, there])
    return torch.cat(found, dim=1).double()


@pytest.mark.parametrize("rows", [None, 7])
def test_means_spreads_and_quantiles_are_those_of_all_tokens(rows: int | None) -> None:
    captures = [captured(seed, T, rows) for seed, T in enumerate((30, 41, 12))]
    over = OverData()
    for capture in captures:
        over.add(capture)
    assert over.captures == 3 and over.layers == ("first", "second")
    seen = 0
    for layer, name, summary in over.summaries():
        x = everything(captures, layer, name)
        assert summary.count == x.shape[1] and summary.exact and summary.rank_error == 0.0
        torch.testing.assert_close(summary.mean.double(), x.mean(-1), rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(summary.spread.double(), x.std(-1, correction=0), rtol=1e-5, atol=1e-7)
        want = x.quantile(torch.tensor(QUANTILES, dtype=torch.float64), dim=-1).mT
        torch.testing.assert_close(summary.quantiles.double(), want, rtol=1e-6, atol=1e-7)
        seen += 1
    assert seen == (16 + 11 if rows is None else 14 + 9)
    with pytest.raises(KeyError, match="distance of first is undefined: queries and keys are different texts"):
        over.summary("first", "distance")
    with pytest.raises(KeyError, match="layers first, second"):
        over.summary("third", "distance")


def ranks_off(sketch: Sketch, x_HN: Tensor) -> float:
    """How far a quantile's rank is from what was asked, at most."""
    most = 0.0
    for head, values in enumerate(sketch.quantiles(QUANTILES)):
        for share, value in zip(QUANTILES, values, strict=True):
            low = float((x_HN[head] < value).double().mean())
            high = float((x_HN[head] <= value).double().mean())
            most = max(most, low - share, share - high)
    return most


@pytest.mark.parametrize("order", ["drawn", "sorted", "turned"])
def test_a_sketch_keeps_its_bound(order: str) -> None:
    x = torch.randn(3, 20_000, generator=torch.Generator().manual_seed(0))
    x = x if order == "drawn" else x.sort(dim=1, descending=order == "turned").values
    sketch = Sketch(3, 256)
    for some in x.split(777, dim=1):
        sketch.add(some)
    assert not sketch.exact and sketch.count == 20_000
    assert ranks_off(sketch, x) <= sketch.rank_error < 0.05
    assert sum(level.shape[1] for level in sketch._levels) <= 256 * len(sketch._levels) <= 256 * 9
    assert sum(2**i * level.shape[1] for i, level in enumerate(sketch._levels)) == 20_000
    again = Sketch(3, 256)
    for some in x.split(777, dim=1):
        again.add(some)
    assert torch.equal(again.quantiles(QUANTILES), sketch.quantiles(QUANTILES))


def test_even_and_odd_numbers_move_up_by_turns() -> None:
    sketch = Sketch(1, 8)
    sketch.add(torch.arange(9.0)[None])
    sketch.add(torch.arange(9.0, 17.0)[None])
    assert [level.tolist() for level in sketch._levels] == [[[16.0]], [[0.0, 2.0, 4.0, 6.0, 9.0, 11.0, 13.0, 15.0]]]


def test_sketches_merge() -> None:
    x = torch.rand(2, 9000, generator=torch.Generator().manual_seed(1))
    one, other = Sketch(2, 128), Sketch(2, 128)
    one.add(x[:, :3001])
    other.add(x[:, 3001:])
    one.merge(other)
    assert one.count == 9000 and ranks_off(one, x) <= one.rank_error < 0.2
    small, more = Sketch(2, 128), Sketch(2, 128)
    small.add(x[:, :20])
    more.add(x[:, 20:50])
    small.merge(more)
    want = x[:, :50].double().quantile(torch.tensor(QUANTILES, dtype=torch.float64), dim=1).mT
    torch.testing.assert_close(small.quantiles(QUANTILES).double(), want)
    assert bool(Sketch(2, 128).quantiles(QUANTILES).isnan().all())


def test_what_is_held_does_not_grow_with_the_data() -> None:
    over, whole = OverData(most=16), OverData(most=16)
    captures = [captured(seed) for seed in range(4)]
    for capture in captures:
        over.add(capture)
        part = OverData(most=16)
        part.add(capture)
        whole.merge(part)
    for layer, name, summary in over.summaries():
        assert not summary.exact and 0.0 < summary.rank_error < 0.5
        merged = whole.summary(layer, name)
        torch.testing.assert_close(merged.mean, summary.mean)
        torch.testing.assert_close(merged.spread, summary.spread)
        assert merged.count == summary.count
    assert whole.captures == 4


def test_other_models_and_sizes_are_refused() -> None:
    over = OverData()
    over.add(captured(0))
    values = {"total": torch.zeros(1, 2, 5)}
    other = CapturedLayer("first", "self", "causal", 1, 2, 5, 5, values, {}, Check(None, 0, "made"))
    with pytest.raises(ValueError, match="layer 'first' has 2 heads here and had 3 before"):
        over.add(Capture([other]))
    assert over.captures == 1
    two = OverData()
    two.add(Capture([other]))
    with pytest.raises(ValueError, match="2 heads there and 3 here"):
        over.merge(two)
    with pytest.raises(ValueError, match="sketches of 2048 and of 16"):
        over.merge(OverData(16))
    with pytest.raises(ValueError, match="even number of at least 8; got 7"):
        OverData(7)
