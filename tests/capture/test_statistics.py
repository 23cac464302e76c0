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
from attnkit.attention.normalizer import Sigmoid
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Documents, Window
from attnkit.attention.position import Alibi, Rotary
from attnkit.attention.refine import Convolution, HeadGate, Recurrent, Temperature
from attnkit.attention.score import Dot, Euclidean, SoftCap
from attnkit.attention.where import Where
from attnkit.capture import sweep
from attnkit.capture.captured import Kind, Wanted
from attnkit.capture.measure import measure, rows
from attnkit.capture.sampling import sampled, sampling_error, sampling_note
from attnkit.capture.statistics import SHARES, STATISTICS, undefined
from attnkit.capture.sweep import Tile, tiles
from attnkit.layers.taps import Seen
from tests.capture.dense_map import B, H, close, dense, held, held_maps, record


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles, blocks and peaks of a few numbers, so that short texts have many, and cut ones."""
    monkeypatch.setattr(sweep, "HEIGHTS", (8,))
    monkeypatch.setattr(sweep, "PEAK", 4)
    monkeypatch.setattr("attnkit.capture.sweep_top.PEAK", 4)
    monkeypatch.setattr("attnkit.capture.sweep_counts.MIDDLE", 8)
    monkeypatch.setattr(sweep, "CHUNK_NUMBERS", 1 << 11)


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
    "queries alone": Where.of(37, 37, query_keep=keep_of(0, 20)),
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
    padding = ~keep_of(30, 11, left=True)[:, None, :, None]
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
