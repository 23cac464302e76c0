"""The `.attn` file gives back what it was given, and fits its budget."""

import dataclasses

import pytest
import torch

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.position.none import NoPosition
from attnkit.capture.budget import STEPS, coarser, details
from attnkit.capture.captured import Capture, Edges, Pooled
from attnkit.capture.file import load, save
from attnkit.capture.record import capture_arrays
from attnkit.layers.model_operator import GivenBias
from tests.capture.made import SPECS, capture_of, layer_of, rich, same, seen_of

TENSORS = ("query_keep", "key_keep", "rows")


def test_everything_comes_back(tmp_path) -> None:
    capture = rich()
    back = load(save(capture, tmp_path / "a.attn"))
    assert back.notes == capture.notes
    assert same(capture, back)


def test_inputs_masks_and_indices_come_back_to_the_bit(tmp_path) -> None:
    capture = rich()
    back = load(save(capture, tmp_path / "a.attn"))
    for layer, other in zip(capture.layers, back.layers, strict=True):
        assert same(layer.seen, other.seen, within=0.0)
        assert all(same(getattr(layer, name), getattr(other, name)) for name in TENSORS)
        if layer.seen is not None:
            assert torch.equal(layer.seen.matrix(), other.seen.matrix())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_inputs_keep_their_type(tmp_path, dtype) -> None:
    seen = seen_of(SPECS["causal"], torch.Generator().manual_seed(0), dtype=dtype)
    back = load(save(Capture([layer_of(torch.rand(2, 4, 12, 12), seen=seen)]), tmp_path / "a.attn"))
    assert back.layers[0].seen.q_BHTD.dtype == dtype
    assert same(seen, back.layers[0].seen, within=0.0)


def test_small_and_large_numbers_keep_their_digits(tmp_path) -> None:
    layer = layer_of(torch.rand(2, 4, 12, 12))
    ladder = torch.logspace(-37, 37, 96).reshape(2, 4, 12)
    layer.statistics["largest_logit"] = torch.where(torch.arange(12) % 2 == 0, ladder, -ladder)
    layer.statistics["value_norm"] = torch.full((2, 4, 12), float("nan"))
    layer.statistics["next"] = torch.full((2, 4, 12), torch.finfo(torch.float32).max)
    capture = Capture([layer])
    assert same(capture, load(save(capture, tmp_path / "a.attn")))


def test_the_same_capture_gives_the_same_bytes(tmp_path) -> None:
    first, second = (save(rich(), tmp_path / name) for name in ("a.attn", "b.attn"))
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.attn", "b.attn"]


def test_a_bias_handed_in_by_a_model_comes_back(tmp_path) -> None:
    spec = Pairwise(position=GivenBias(NoPosition()))
    made = seen_of(SPECS["causal"], torch.Generator().manual_seed(0))
    params = {"position.bias": torch.rand(1, 4, 12, 12), "position.origin": torch.zeros(2, dtype=torch.int64)}
    seen = dataclasses.replace(made, spec=spec, params=params)
    back = load(save(Capture([layer_of(torch.rand(2, 4, 12, 12), seen=seen)]), tmp_path / "a.attn"))
    assert back.layers[0].seen.spec == spec
    assert torch.equal(seen.matrix(), back.layers[0].seen.matrix())


@dataclasses.dataclass(frozen=True)
class Own(NoPosition):
    """A user's part."""


def test_a_class_of_elsewhere_is_not_imported_and_a_note_says_so(tmp_path) -> None:
    made = seen_of(SPECS["causal"], torch.Generator().manual_seed(0))
    capture = Capture([layer_of(made.matrix(), seen=dataclasses.replace(made, spec=Pairwise(position=Own())))])
    back = load(save(capture, tmp_path / "a.attn"))
    assert back.layers[0].seen is None
    assert "test_file:Own is not of attnkit" in back.notes[-1]


def test_detail_goes_step_by_step_until_it_fits(tmp_path) -> None:
    generator = torch.Generator().manual_seed(1)
    seen = seen_of(SPECS["causal"], generator, B=1, T=512, S=512)
    capture = Capture([layer_of(seen.matrix(), seen=seen, blocks=64)], {"text": [[f"t{i}" for i in range(512)]]})
    whole = save(capture, tmp_path / "whole.attn").stat().st_size
    sizes, notes = [], []
    for share in (1.0, 0.9, 0.5, 0.3, 0.15, 0.1, 0.05, 0.03):
        path = save(capture, tmp_path / "a.attn", int(whole * share))
        sizes.append(path.stat().st_size)
        assert sizes[-1] <= whole * share
        back = load(path)
        notes.append(back.notes)
        assert "entropy" in back.layers[0].statistics
    assert sizes == sorted(sizes, reverse=True)
    assert notes[0] == []
    assert "within 1e-3" in notes[1][0]
    assert "cannot be made again" in notes[2][0]
    last = load(path).layers[0]
    assert last.seen is None
    assert last.edges is None
    assert last.rows is not None
    assert last.statistics["entropy"].shape == (1, 4, len(last.rows))
    exact = layer_of(seen.matrix()).statistics["entropy"][..., last.rows]
    assert (last.statistics["entropy"] - exact).abs().max() <= exact.max() / 255


def test_a_capture_s_own_budget_holds_where_saving_is_told_nothing(tmp_path) -> None:
    capture = capture_of(T=128, S=128)
    capture.budget_bytes = 50_000
    assert save(capture, tmp_path / "a.attn").stat().st_size <= 50_000
    assert save(capture, tmp_path / "b.attn", 90_000).stat().st_size > 50_000


def test_a_sample_of_queries_is_kept_in_blocks_of_all_of_them(tmp_path) -> None:
    q = torch.randn(1, 2, 64, 4, generator=torch.Generator().manual_seed(0))
    capture = capture_arrays(q, q, q, rows=5, blocks=16)
    (layer,) = load(save(capture, tmp_path / "a.attn")).layers
    assert layer.pooled is not None and layer.pooled.mass_BHRC.shape == (1, 2, 16, 16)
    small = coarser(layer, layer.pooled, 4).mass_BHRC.sum(-1)
    assert small.allclose(torch.ones(()), atol=1e-2)


def test_a_budget_that_holds_nothing_is_refused_in_one_sentence(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"the least of it takes \d+ bytes and the budget is 500"):
        save(capture_of(), tmp_path / "a.attn", 500)
    assert list(tmp_path.iterdir()) == []


def test_each_step_takes_something_and_gives_nothing_back() -> None:
    ladder = list(details())
    assert len(set(ladder)) == len(STEPS) + 1
    counts = [9 if one.edges is None else one.edges for one in ladder]
    assert counts == sorted(counts, reverse=True)
    assert [one.every for one in ladder] == sorted(one.every for one in ladder)


def test_a_coarser_map_is_the_pool_of_the_map() -> None:
    A = torch.rand(2, 3, 21, 17).softmax(-1)
    keep = torch.arange(21) < torch.tensor([[21], [13]])
    A = A * keep[:, None, :, None]

    def pooled(query_tokens: int, key_tokens: int) -> torch.Tensor:
        down = (torch.arange(21)[:, None] // query_tokens == torch.arange(-(-21 // query_tokens))).float()
        across = (torch.arange(17)[:, None] // key_tokens == torch.arange(-(-17 // key_tokens))).float()
        counts = keep.float() @ down
        return (down.T @ A @ across) / counts.clamp(min=1)[:, None, :, None]

    layer = dataclasses.replace(layer_of(A), query_keep=keep, pooled=Pooled(pooled(2, 2), 2, 2))
    small = coarser(layer, layer.pooled, 4)
    assert (small.query_tokens, small.key_tokens) == (6, 6)
    assert torch.allclose(small.mass_BHRC, pooled(6, 6), atol=1e-6)


def test_many_heads_of_a_long_text_fit_in_a_megabyte_and_a_half(tmp_path) -> None:
    generator = torch.Generator().manual_seed(5)
    layers = []
    for index in range(12):
        base = layer_of(torch.rand(1, 12, 64, 64, generator=generator).softmax(-1), f"layers.{index}")
        statistics = {
            name: torch.rand(1, 12, 4096, generator=generator) * (1 + torch.rand(1, 12, 1, generator=generator))
            for name in base.statistics
        }
        # Maps of noise: no real one is harder to compress.
        pooled = Pooled(torch.rand(1, 12, 64, 64, generator=generator).tril(), 64, 64)
        edges = Edges(torch.rand(1, 12, 4096, 3), torch.randint(0, 4096, (1, 12, 4096, 3), generator=generator))
        layers.append(
            dataclasses.replace(
                base, T=4096, S=4096, statistics=statistics, pooled=pooled, edges=edges, query_keep=None, key_keep=None
            )
        )
    capture = Capture(layers, {"text": [[f"token{i}" for i in range(4096)]]})
    path = save(capture, tmp_path / "a.attn", 1_500_000)
    assert path.stat().st_size <= 1_500_000
    back = load(path).layers[0]
    assert back.pooled.mass_BHRC.shape == (1, 12, 64, 64)
    assert {"entropy", "distance", "sink", "received"} <= back.statistics.keys()
    assert (back.pooled.mass_BHRC - layers[0].pooled.mass_BHRC).abs().max() <= 1 / 127
