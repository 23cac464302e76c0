"""statistics: every number of a capture, held to the dense map in float64."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.catalogue import CATALOGUE
from attnkit.attention.combine import Mixture, Sum, Then
from attnkit.attention.factored import Linear, Nystrom
from attnkit.attention.heads import share_heads
from attnkit.attention.normalizer import Sigmoid
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, init_params
from attnkit.attention.pattern import Causal, Documents, Window
from attnkit.attention.position import Alibi, Rotary
from attnkit.attention.refine import Convolution, HeadGate, Recurrent, Temperature
from attnkit.attention.score import Dot, Euclidean, SoftCap
from attnkit.attention.where import Where
from attnkit.capture import sweep
from attnkit.capture.captured import CapturedLayer, Kind, Wanted
from attnkit.capture.measure import measure, rows
from attnkit.capture.sampling import sampled, sampling_error, sampling_note
from attnkit.capture.statistics import SHARES, STATISTICS, undefined
from attnkit.capture.sweep import Tile, tiles
from attnkit.layers.taps import Seen

B, H, D, E = 2, 4, 8, 6


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles, blocks and peaks of a few numbers, so that short texts have many, and cut ones."""
    monkeypatch.setattr(sweep, "HEIGHTS", (8,))
    monkeypatch.setattr(sweep, "PEAK", 4)
    monkeypatch.setattr("attnkit.capture.sweep_top.PEAK", 4)
    monkeypatch.setattr("attnkit.capture.sweep_counts.MIDDLE", 8)
    monkeypatch.setattr(sweep, "CHUNK_NUMBERS", 1 << 11)


def record(
    spec: Attention,
    T: int = 37,
    S: int = 37,
    *,
    G: int = H,
    where: Where | None = None,
    dtype: torch.dtype = torch.float32,
    sharp: float = 1.0,
    shake: float = 0.2,
    seed: int = 0,
) -> Seen:
    """A call of `spec` on numbers that were drawn; its parameters are away from where they begin."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    q, k, v = (sharp * draw(B, H, T, D)).to(dtype), draw(B, G, S, D).to(dtype), draw(B, G, S, E).to(dtype)
    params = init_params(spec, Dims(H, D, E), generator)
    params = {name: value + shake * draw(*value.shape) for name, value in params.items()}
    state = draw(B, H, T, S).softmax(-1) if spec.needs_state else None
    where = Where.of(T, S) if where is None else where
    wide = {name: value.double() for name, value in params.items()}
    lower = None if state is None else state.double()
    out = spec.mix(q.double(), k.double(), v.double(), where, wide, lower).to(dtype)
    return Seen("one", spec, q, k, v, where, params, state, out)


def dense(seen: Seen) -> Tensor:
    """The map in float64."""
    params = {name: value.double() for name, value in seen.params.items()}
    state = None if seen.state is None else seen.state.double()
    return seen.spec.matrix(seen.q_BHTD.double(), seen.k_BGSD.double(), seen.where, params, state)


def met(spec: Attention, where: Where) -> Tensor:
    """Who may meet whom, (B or 1, 1, T, S)."""
    if isinstance(spec, Sum | Mixture):
        first, second = (met(part, where) for part in spec.of)
        return first | second
    every = torch.ones(1, 1, where.T, where.S, dtype=torch.bool)
    if isinstance(spec, Pairwise):
        allowed = spec.allowed(where)
        return every if allowed is None else allowed & every
    every = every if where.kept is None else every & where.kept
    return every & (where.j <= where.i) if spec.claims().causal else every


def expected(seen: Seen, kind: Kind, a: Tensor) -> dict[str, Tensor]:
    """Every statistic from the dense map `a`, a line of its definition each."""
    where, spec = seen.where, seen.spec
    T, S = a.shape[2:]
    real = torch.ones(B, T, dtype=torch.bool)
    if where.query_keep is not None:
        real = where.query_keep.expand(B, T)
    elif where.keep is not None and kind == "self":
        real = where.keep.expand(B, S)[:, S - T :]
    a = a * real[:, None, :, None]
    total = a.sum(-1)
    there = total != 0
    p = a / total.where(there, 1.0)[..., None]
    j, i = where.j.double(), where.i.double()
    mean = (p * j).sum(-1)
    entropy = -torch.xlogy(p, p).sum(-1)
    found = {
        "total": total,
        "entropy": entropy,
        "span": entropy.exp() * there,
        "distance": (p * (j - i).abs()).sum(-1),
        "signed_distance": (p * (j - i)).sum(-1),
        "spread": (p * (j - mean[..., None]).square()).sum(-1).clamp(min=0).sqrt(),
        "largest_weight": a.amax(-1) * there,
        "received": a.sum(2),
    }
    v = share_heads(seen.v_BGSE, H).double()
    found["value_norm"] = (a @ v).norm(dim=-1)
    found["received_norm"] = found["received"] * v.norm(dim=-1)
    if "entropy_share" not in undefined(spec, kind):
        n = met(spec, where).expand(a.shape).sum(-1)
        found["entropy_share"] = entropy / n.clamp(min=2).double().log() * (n > 1)
    if "largest_logit" not in undefined(spec, kind):
        assert isinstance(spec, Pairwise)
        params = {name: value.double() for name, value in seen.params.items()}
        logits = spec.logits(seen.q_BHTD.double(), seen.k_BGSD.double(), where, params)
        allowed = met(spec, where) & real[:, None, :, None]
        largest = logits.masked_fill(~allowed, -math.inf).amax(-1)
        found["largest_logit"] = largest.masked_fill(largest == -math.inf, 0.0)
    keep = torch.ones(B, S, dtype=torch.bool) if where.keep is None else where.keep.expand(B, S)
    mine = keep[:, None, None, :].expand(B, 1, T, S)
    if where.same_document is not None:
        mine = mine & where.same_document
    # Of the keys of the query's own text the first, and those that stand beside it.
    found["sink"] = (a * (mine & (mine.cumsum(-1) == 1))).sum(-1)
    for name, step in (("diagonal", 0), ("previous", -1), ("next", 1)):
        found[name] = (a * (mine & (where.j == where.i + step))).sum(-1)
    return found


def off_by(got: Tensor, want: Tensor, scale: Tensor) -> float:
    """The largest difference over the larger of one and `scale`."""
    return float(((got.double() - want) / scale.abs().clamp(min=1.0)).abs().max())


def close(got: Tensor, want: Tensor, name: str, budget: float = 1e-5) -> None:
    """Within `budget` of the larger of one and the number."""
    assert got.dtype == torch.float32 and got.device.type == "cpu"
    assert got.shape == want.shape, name
    off = off_by(got, want, want)
    assert off <= budget, f"{name} is off by {off:.2g}"


def held(seen: Seen, kind: Kind, layer: CapturedLayer, plain: bool = False) -> None:
    """Each statistic is there and right, or has a reason, and the reasons are the known ones.

    Right is within 1e-5 of the larger of one and the number; for the signed distance, in which far keys on both sides
    cancel, of the larger of one and the distance. With `plain` also within twice the error of the dense map in float32.
    """
    reasons = undefined(seen.spec, kind)
    want = expected(seen, kind, dense(seen))
    rough = expected(seen, kind, seen.matrix().double()) if plain else want
    for name in STATISTICS:
        assert (name in layer.statistics) != (name in layer.undefined), name
        if name in layer.statistics:
            assert name not in reasons
            got, scale = layer.statistics[name], want["distance" if name == "signed_distance" else name]
            assert got.dtype == torch.float32 and got.device.type == "cpu"
            assert got.shape == want[name].shape
            off, budget = off_by(got, want[name], scale), max(1e-5, 2.0 * off_by(rough[name], want[name], scale))
            assert off <= budget, f"{name} is off by {off:.2g}"
        else:
            assert len(layer.undefined[name]) > 10


def held_maps(seen: Seen, kind: Kind, layer: CapturedLayer, wanted: Wanted) -> None:
    """The pooled map and the edges are those of the map."""
    a = dense(seen)
    T, S = a.shape[2:]
    keep = torch.ones(B, T, dtype=torch.bool) if layer.query_keep is None else layer.query_keep
    a = a * keep[:, None, :, None]
    assert layer.pooled is not None and layer.edges is not None
    of_t, of_s = layer.pooled.query_tokens, layer.pooled.key_tokens
    assert (of_t, of_s) == (-(-T // wanted.blocks), -(-S // wanted.blocks))
    mass = layer.pooled.mass_BHRC
    assert mass.shape == (B, H, -(-T // of_t), -(-S // of_s))
    rows_of, keys_of = (torch.arange(n)[:, None] // size for n, size in ((T, of_t), (S, of_s)))
    of_query = (rows_of == torch.arange(mass.shape[2])).double() * keep[:, None, :, None]
    of_key = (keys_of == torch.arange(mass.shape[3])).double()
    close(mass, of_query.mT @ a @ of_key / of_query.sum(2).clamp(min=1.0)[..., None], "pooled")
    weight, key = layer.edges.weight_BHTN, layer.edges.key_BHTN
    assert weight.shape == key.shape == (B, H, T, wanted.edges)
    there = key >= 0
    close(weight, a.gather(-1, key.clamp(min=0)) * there, "edges")
    if seen.spec.claims().nonnegative:
        most = torch.cat([a, a.new_zeros(B, H, T, wanted.edges)], -1).topk(wanted.edges, -1).values
        close(weight, most, "largest edges")
        assert bool((weight[~there] == 0).all()) and bool((weight[there] > 0).all())


def keep_of(*lengths: int, S: int = 37, left: bool = False) -> Tensor:
    """A keep with this many real keys an item, at the end where `left`."""
    keep = torch.arange(S) < torch.tensor(lengths)[:, None]
    return keep.flip(1) if left else keep


DOCUMENTS = torch.arange(37) // 13
WHERES = {
    "plain": None,
    "padded": Where.of(37, 37, keep=keep_of(37, 20)),
    "left-padded": Where.of(37, 37, keep=keep_of(30, 11, left=True)),
    "nothing": Where.of(37, 37, keep=keep_of(0, 37)),
    "queries": Where.of(37, 37, keep=keep_of(37, 20), query_keep=keep_of(30, 20)),
    "documents": Where.of(37, 37, query_document=DOCUMENTS, key_document=DOCUMENTS),
    "placed": Where.of(
        37,
        37,
        query_position=torch.stack([torch.arange(37) * 2, torch.arange(37)]),
        key_position=torch.stack([torch.arange(37).flip(0) * 2, torch.arange(37) + 3]),
    ),
}
SPECS: dict[str, Attention] = {
    "plain": Pairwise(),
    "causal": Pairwise(pattern=Causal()),
    "window": Pairwise(Euclidean(width=1.5), pattern=Window(5)),
    "documents": Pairwise(pattern=Documents() & Causal(), position=Rotary()),
    "sigmoid": Pairwise(normalizer=Sigmoid(), pattern=Window(9, causal=True)),
    "alibi": Pairwise(Dot(), Alibi(), Causal(), refine=(Temperature(),)),
    "linear": Linear(),
    "convolved": Pairwise(pattern=Causal(), refine=(HeadGate(), Convolution(queries=3, keys=3, causal=True))),
}


@pytest.mark.parametrize("where", WHERES.values(), ids=WHERES.keys())
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
@pytest.mark.usefixtures("small")
def test_statistics_are_those_of_the_map(spec: Attention, where: Where | None) -> None:
    if "documents" in str(spec).lower() and (where is None or where.key_document is None):
        where = WHERES["documents"]
    seen = record(spec, where=where, G=2)
    wanted = Wanted("maps", blocks=5, edges=3)
    layer = measure(seen, "self", wanted)
    held(seen, "self", layer)
    held_maps(seen, "self", layer, wanted)
    assert layer.check.error is not None and layer.check.error < 1e-4


# Their very weights lose digits in float32: thresholds, features, inverses.
ROUGH = {"sparsemax", "linear", "causal-linear", "performer", "linformer", "nystrom", "hybrid", "mixture"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_catalogue_operator_has_its_statistics_or_its_reasons(name: str) -> None:
    spec = CATALOGUE[name].operator
    documents = torch.arange(150) // 67
    where = Where.of(150, 150, keep=keep_of(150, 131, S=150), query_document=documents, key_document=documents)
    seen = record(spec, 150, 150, where=where)
    wanted = Wanted("maps", blocks=16, edges=4)
    layer = measure(seen, "self", wanted)
    held(seen, "self", layer, plain=name in ROUGH)
    if name != "nystrom":
        held_maps(seen, "self", layer, wanted)
    assert layer.operator == name


def test_most_catalogue_operators_define_every_statistic() -> None:
    reasons = {name: undefined(entry.operator, "self") for name, entry in CATALOGUE.items()}
    whole = [name for name, told in reasons.items() if not told]
    assert len(set(whole) - ROUGH) >= 35
    assert set(reasons["linear"]) == {"largest_logit"}
    assert set(reasons["hierarchical"]) == {"largest_logit", "entropy_share"}
    assert set(reasons["talking-heads"]) == set(SHARES)
    assert "TalkingHeads" in reasons["talking-heads"]["entropy"]
    assert set(reasons["nystrom"]) == {*SHARES, "largest_logit"}


@pytest.mark.parametrize("kind", ["cross", "pooling"])
@pytest.mark.usefixtures("small")
def test_two_texts_have_no_distances(kind: Kind) -> None:
    where = Where.of(5, 37, keep=keep_of(37, 9))
    seen = record(Pairwise(), 5, 37, where=where)
    layer = measure(seen, kind, Wanted("maps", blocks=4, edges=2))
    held(seen, kind, layer)
    assert set(layer.undefined) == {"distance", "signed_distance", "diagonal", "previous", "next"}
    assert layer.query_keep is None and layer.key_keep is not None


def test_steps_of_a_decoder_stand_at_the_end() -> None:
    seen = record(Pairwise(pattern=Causal()), 3, 37, G=1)
    layer = measure(seen, "self", Wanted("maps", edges=50))
    held(seen, "self", layer)
    held_maps(seen, "self", layer, Wanted("maps", edges=50))


def test_keys_at_one_position_have_no_neighbours() -> None:
    twice = torch.arange(37) // 2
    where = Where.of(37, 37, query_position=twice, key_position=twice)
    layer = measure(record(Pairwise(), where=where), "self", Wanted("stats"))
    assert set(layer.undefined) == {"diagonal", "previous", "next"}
    assert "one position" in layer.undefined["next"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("spec", [Pairwise(pattern=Causal()), CATALOGUE["gpt-oss"].operator, Linear()], ids=str)
def test_half_precision_is_counted_in_float32(spec: Attention, dtype: torch.dtype) -> None:
    seen = record(spec, dtype=dtype, G=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer = measure(seen, "self", Wanted("maps"))
    held(seen, "self", layer)
    assert layer.check.error is not None and 0.0 < layer.check.error < 0.02


@pytest.mark.parametrize("sharp", [30.0, 300.0])
@pytest.mark.parametrize("spec", [Pairwise(), Pairwise(SoftCap(cap=50.0), pattern=Causal())], ids=str)
def test_scores_too_large_for_an_exponential(spec: Attention, sharp: float) -> None:
    seen = record(spec, sharp=sharp)
    layer = measure(seen, "self", Wanted("stats"))
    held(seen, "self", layer, plain=True)


def test_long_narrow_rows_keep_their_digits() -> None:
    T, S = 100, 700
    spec = Pairwise(pattern=Window(3, causal=True))
    where = Where.of(T, S, query_position=torch.arange(T) + 5600, key_position=torch.arange(S) + 5000)
    seen = record(spec, T, S, where=where)
    held(seen, "self", measure(seen, "self", Wanted("stats")))


@pytest.mark.parametrize("S", [700, 1024])
def test_real_block_sizes(S: int) -> None:
    seen = record(Pairwise(pattern=Causal()), 90, S, sharp=3.0, where=Where.of(90, S, keep=keep_of(S, S - 90, S=S)))
    for blocks in (64, 7):
        wanted = Wanted("maps", blocks=blocks)
        layer = measure(seen, "self", wanted)
        held(seen, "self", layer)
        held_maps(seen, "self", layer, wanted)


OTHERS: list[Attention] = [
    Pairwise(pattern=Window(9)),
    Pairwise(refine=(Recurrent(),)),
    Pairwise(refine=(Convolution(queries=5, keys=3), Convolution(queries=3, keys=3))),
    Linear(),
    Nystrom(4),
    Sum((Pairwise(pattern=Window(5)), Nystrom(4))),
    Mixture((Pairwise(), Pairwise(refine=(Convolution(queries=3, keys=3),)))),
    Then(Pairwise(refine=(Convolution(queries=3, keys=3),)), Pairwise(pattern=Window(5))),
    CATALOGUE["causal-linear"].operator,
]


@pytest.mark.parametrize("spec", OTHERS, ids=str)
@pytest.mark.usefixtures("small")
def test_rows_and_samples_are_those_of_the_map(spec: Attention) -> None:
    seen = record(spec, where=WHERES["queries"], G=2)
    a = dense(seen)
    picked = [0, 3, 4, 5, 36, 20]
    budget = 1e-3 if "Nystrom" in str(spec) else 1e-5
    close(rows(seen, picked), a[:, :, picked], "rows", budget)
    close(rows(seen, torch.tensor([7]), heads=[2, 0]), a[:, [2, 0], 7:8], "rows of heads", budget)
    whole = measure(seen, "self", Wanted("maps", blocks=4, edges=3))
    layer = measure(seen, "self", Wanted("maps", rows=12, blocks=4, edges=3))
    assert layer.rows is not None and layer.rows.shape == (12,)
    for name, value in layer.statistics.items():
        close(value, whole.statistics[name][:, :, layer.rows].double(), name, budget)
    assert set(layer.undefined) - set(whole.undefined) == {"received", "received_norm"}
    assert "12 of 37 queries" in layer.undefined["received"]
    assert layer.edges is not None and whole.edges is not None and layer.pooled is not None
    close(layer.edges.weight_BHTN, whole.edges.weight_BHTN[:, :, layer.rows].double(), "edges", budget)
    keep = seen.where.query_keep
    assert keep is not None
    some = layer.rows[layer.rows // 10 == 1]
    mean = (a[:, :, some, :10].sum(-1) * keep[:, None, some]).sum(-1) / keep[:, some].sum(-1).clamp(min=1)[:, None]
    close(layer.pooled.mass_BHRC[:, :, 1, 0], mean, "pooled", budget)


def test_samples_are_spread_and_say_how_far_they_may_be_off() -> None:
    assert sampled(10, None, None) is None and sampled(10, None, 10) is None
    assert sampled(100, None, 4).tolist() == [12, 37, 62, 87]  # type: ignore[union-attr]
    padded = torch.arange(8)[None] >= 4
    assert sampled(8, padded, 2).tolist() == [5, 7]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="rows must be at least 1"):
        sampled(8, padded, 0)
    seen = record(Pairwise(), 300, 300, where=Where.of(300, 300, keep=keep_of(300, 120, S=300)))
    whole = measure(seen, "self", Wanted("stats"))
    layer = measure(seen, "self", Wanted("stats", rows=100))
    assert layer.rows is not None and layer.query_keep is not None
    for name, error in sampling_error(layer).items():
        for item in range(B):
            own = layer.query_keep[item, layer.rows]
            x = layer.statistics[name][item][:, own].double()
            n, N = int(own.sum()), int(layer.query_keep[item].sum())
            want = x.std(-1) / math.sqrt(n) * math.sqrt(1 - n / N)
            torch.testing.assert_close(error[item].double(), want, rtol=1e-4, atol=1e-7)
            # Five standard errors: the sample is one of many that could have been drawn.
            off = (x.mean(-1) - whole.statistics[name][item][:, layer.query_keep[item]].double().mean(-1)).abs()
            assert bool((off <= 5 * want + 1e-6).all()), name
    assert sampling_note(whole) is None and "100 of 300 queries" in str(sampling_note(layer))
    assert all(bool((error == 0).all()) for error in sampling_error(whole).values())


def test_what_is_wanted_is_what_is_given() -> None:
    seen = record(Pairwise())
    layer = measure(seen, "self", Wanted("stats", statistics=("received_norm", "span"), heads={"one": (3, 1)}))
    assert list(layer.statistics) == ["span", "received_norm"] and layer.heads == 2
    whole = measure(seen, "self", Wanted("full"))
    for name, value in layer.statistics.items():
        torch.testing.assert_close(value, whole.statistics[name][:, [3, 1]])
    assert (layer.pooled, layer.edges, layer.seen) == (None, None, None)
    assert whole.seen is seen and list(whole.statistics) == list(STATISTICS)
    other = measure(seen, "self", Wanted("stats", heads={"another": (0,)}))
    assert other.heads == H
    alone = measure(seen, "self", Wanted("maps", statistics=()))
    assert alone.statistics == {} and alone.undefined == {} and alone.pooled is not None
    assert whole.pooled is not None
    torch.testing.assert_close(alone.pooled.mass_BHRC, whole.pooled.mass_BHRC)


def test_a_check_compares_or_says_why_not() -> None:
    seen = record(Pairwise(pattern=Causal()), where=WHERES["left-padded"])
    assert measure(seen, "self", Wanted("stats")).check.rows == 16
    # What a kernel gives to padding is nobody's business.
    padding = ~WHERES["left-padded"].keep[:, None, :, None]  # type: ignore[index]
    right = measure(replace(seen, out_BHTE=seen.out_BHTE + padding), "self", Wanted("stats")).check.error
    assert right is not None and right < 1e-5
    wrong = replace(seen, out_BHTE=seen.out_BHTE + 0.1)
    error = measure(wrong, "self", Wanted("stats")).check.error
    assert error is not None and error > 0.05
    told = measure(seen, "self", Wanted("stats"), incomparable="dropout of 0.1 was on").check
    assert (told.error, told.reason) == (None, "dropout of 0.1 was on")
    nothing = measure(replace(seen, out_BHTE=seen.out_BHTE[:0]), "self", Wanted("stats")).check
    assert nothing.reason == "no output was recorded"


def test_bad_wishes_get_one_sentence() -> None:
    seen = record(Pairwise())
    with pytest.raises(ValueError, match="no statistic is called 'entropi'.*entropy"):
        measure(seen, "self", Wanted(statistics=("entropi",)))
    with pytest.raises(ValueError, match="there is no head 9 in 'one'; give 0 to 3"):
        measure(seen, "self", Wanted(heads={"one": (9,)}))
    with pytest.raises(ValueError, match="blocks must be at least 1"):
        measure(seen, "self", Wanted(blocks=0))
    with pytest.raises(ValueError, match="there is no query 37 in 'one'; give 0 to 36"):
        rows(seen, [37])
    with pytest.raises(ValueError, match="there is no head 4 in 'one'; give 0 to 3"):
        rows(seen, [0], heads=[4])


def test_no_tile_is_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = record(Pairwise(pattern=Causal()), 600, 600)
    heights = []

    def watched(*args: object, **told: object) -> Iterator[Tile]:
        for tile in tiles(*args, **told):  # type: ignore[arg-type]
            heights.append(tile.weights_HRC.shape[1])
            yield tile

    def refused(*_: object, **__: object) -> Tensor:
        raise AssertionError("the whole map was made")

    monkeypatch.setattr("attnkit.capture.measure.tiles", watched)
    monkeypatch.setattr(Seen, "matrix", refused)
    measure(seen, "self", Wanted("maps"))
    assert 0 < max(heights) <= 256
