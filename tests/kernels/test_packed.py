"""Packed texts give the numbers and gradients that each text gives alone, for every operator that can be packed."""

import pytest
import torch
from torch import Tensor

from attnkit.attention.catalogue import CATALOGUE
from attnkit.attention.part import Dims, Params, init_params
from attnkit.attention.where import Where
from attnkit.kernels import attend
from attnkit.kernels.packed import Pieces, attend_packed, pool_packed
from attnkit.layers import AttentionLayer, AttentionPooling, tapped

HEADS, WIDTH = 2, 6
# Neighbors of one length, one token, none at all, and no order.
LENGTHS = (5, 1, 7, 7, 0, 12, 1)
# What reads the layer below has none here, and "documents" asks for ids that no plain text has.
LINES = [name for name, entry in CATALOGUE.items() if not entry.operator.needs_state and name != "documents"]


def padded(x_1HND: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """(B, H, longest, D), with noise where no token stands."""
    texts = x_1HND[0].transpose(0, 1).split(lengths)
    noise = [torch.randn(max(lengths) - n, *x_1HND.shape[1::2], dtype=x_1HND.dtype) for n in lengths]
    return torch.stack([torch.cat(pair) for pair in zip(texts, noise, strict=True)]).transpose(1, 2)


def drawn(lengths: tuple[int, ...], heads: int = HEADS) -> Tensor:
    return torch.randn(1, heads, sum(lengths), WIDTH, dtype=torch.float64, requires_grad=True)


def learned(name: str) -> Params:
    spec = CATALOGUE[name].operator
    draw = torch.Generator().manual_seed(1)
    params = init_params(spec, Dims(HEADS, WIDTH, WIDTH), draw, dtype=torch.float64)
    # Many begin at zero, where a part that is left out would not be missed.
    noise = {key: 0.1 * torch.randn(x.shape, generator=draw, dtype=x.dtype) for key, x in params.items()}
    return {key: (value + noise[key]).requires_grad_() for key, value in params.items()}


@pytest.mark.parametrize("name", LINES)
def test_every_line_gives_what_a_padded_batch_gives(name: str) -> None:
    torch.manual_seed(0)
    spec, params = CATALOGUE[name].operator, learned(name)
    q, k, v = (drawn(LENGTHS) for _ in range(3))
    keep = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    where = Where.of(max(LENGTHS), max(LENGTHS), keep=keep, query_keep=keep, lengths=torch.tensor(LENGTHS))
    wanted = attend(*(padded(x, LENGTHS) for x in (q, k, v)), spec, where=where, params=params, kernel="reference")
    wanted = wanted.transpose(1, 2)[keep].transpose(0, 1)[None]
    found = attend_packed(q, k, v, spec, pieces=Pieces(LENGTHS), params=params)
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    leaves = [q, k, v, *params.values()]
    weights = torch.randn_like(found)
    grads = [torch.autograd.grad((x * weights).sum(), leaves, allow_unused=True) for x in (found, wanted)]
    for one, other in zip(*grads, strict=True):
        one, other = (torch.zeros(()) if x is None else x for x in (one, other))
        torch.testing.assert_close(one, other.expand_as(one) if other.dim() == 0 else other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["vaswani", "bahdanau", "alibi", "star-transformer", "entmax-1.5"])
def test_queries_read_each_text_from_its_last_token(name: str) -> None:
    torch.manual_seed(0)
    spec, params = CATALOGUE[name].operator, learned(name)
    q = torch.randn(1, HEADS, 3, WIDTH, dtype=torch.float64, requires_grad=True)
    k, v = drawn(LENGTHS), drawn(LENGTHS)
    keep = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    last = (torch.tensor(LENGTHS) - 1).clamp(min=0)[:, None].expand(-1, 3)
    where = Where.of(3, max(LENGTHS), keep=keep, query_position=last)
    many = q.expand(len(LENGTHS), -1, -1, -1)
    wanted = attend(many, padded(k, LENGTHS), padded(v, LENGTHS), spec, where=where, params=params, kernel="reference")
    found = pool_packed(q, k, v, spec, pieces=Pieces(LENGTHS), params=params)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    assert not found[4].any()
    leaves = [q, k, v]
    for one, other in zip(*(torch.autograd.grad(x.square().sum(), leaves) for x in (found, wanted)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_the_order_of_texts_moves_their_results_alone() -> None:
    torch.manual_seed(0)
    texts = [torch.randn(1, HEADS, n, WIDTH) for n in LENGTHS]
    turned = [3, 0, 6, 2, 5, 1, 4]
    one, other = (
        attend_packed(*[torch.cat([texts[row] for row in order], 2)] * 3, pieces=Pieces(lengths)).split(lengths, 2)
        for order in (range(len(LENGTHS)), turned)
        if (lengths := tuple(LENGTHS[row] for row in order))
    )
    for place, row in enumerate(turned):
        torch.testing.assert_close(other[place], one[row])


def test_a_text_does_not_see_its_mates_even_where_they_are_not_numbers() -> None:
    q, k, v = (torch.randn(1, HEADS, 9, WIDTH) for _ in range(3))
    alone = attend(q[:, :, 4:], k[:, :, 4:], v[:, :, 4:])
    k[:, :, :4] = float("nan")
    assert torch.equal(attend_packed(q, k, v, pieces=Pieces((4, 5)))[:, :, 4:], alone)


def test_dropout_falls_on_each_text_as_it_would_on_it_alone() -> None:
    q, k, v = (torch.randn(1, HEADS, 9, WIDTH) for _ in range(3))
    draw = torch.Generator().manual_seed(3)
    found = attend_packed(q, k, v, pieces=Pieces((4, 5)), dropout=0.5, generator=draw)
    draw = torch.Generator().manual_seed(3)
    wanted = [attend(*(x[:, :, a:b] for x in (q, k, v)), dropout=0.5, generator=draw) for a, b in ((0, 4), (4, 9))]
    assert torch.equal(found, torch.cat(wanted, 2))
    assert not torch.equal(found, attend_packed(q, k, v, pieces=Pieces((4, 5))))


def test_shared_heads_and_a_value_width_of_their_own() -> None:
    q, k = torch.randn(1, 4, 9, WIDTH), torch.randn(1, 2, 9, WIDTH)
    v = torch.randn(1, 2, 9, 3)
    found = attend_packed(q, k, v, pieces=Pieces((3, 3, 3)))
    for a in (0, 3, 6):
        wanted = attend(q[:, :, a : a + 3], k[:, :, a : a + 3], v[:, :, a : a + 3], kernel="reference")
        torch.testing.assert_close(found[:, :, a : a + 3], wanted)
    nothing = attend_packed(q[:, :, :0], k[:, :, :0], v[:, :, :0], pieces=Pieces((0, 0)))
    assert nothing.shape == (1, 4, 0, 3)


@pytest.mark.parametrize("lengths", [(4, 5), (0, 0)])
def test_spare_tokens_attend_to_nothing_and_nothing_reads_them(lengths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    real, pieces = sum(lengths), Pieces(lengths, spare=3)
    q, k, v = (torch.randn(1, HEADS, real + 3, WIDTH, requires_grad=True) for _ in range(3))
    found = attend_packed(q, k, v, pieces=pieces)
    alone = attend_packed(q[:, :, :real], k[:, :, :real], v[:, :, :real], pieces=Pieces(lengths))
    assert torch.equal(found[:, :, :real], alone) and found.shape == q.shape and not found[:, :, real:].any()
    read = pool_packed(q[:, :, :2], k, v, pieces=pieces)
    assert torch.equal(read, pool_packed(q[:, :, :2], k[:, :, :real], v[:, :, :real], pieces=Pieces(lengths)))
    if real:
        for grad in torch.autograd.grad(found.sum() + read.sum(), [k, v]):
            assert grad[:, :, :real].any() and not grad[:, :, real:].any()


def test_pieces_know_their_runs_and_places() -> None:
    pieces = Pieces((2, 2, 0, 3, 1, 1))
    assert pieces.tokens == 9 and pieces.runs == ((2, 2), (1, 0), (1, 3), (2, 1))
    assert pieces.place_N.tolist() == [0, 1, 0, 1, 0, 1, 2, 0, 0]
    x = torch.arange(9).view(1, 9, 1)
    assert [y.flatten().tolist() for y in pieces.cut(x)] == [[0, 1, 2, 3], [], [4, 5, 6], [7, 8]]
    assert pieces.cut(x)[0].data_ptr() == x.data_ptr()
    spare = Pieces((2, 1), spare=2)
    assert spare.tokens == 5 and spare.place_N.tolist() == [0, 1, 0, 0, 1]
    assert [y.flatten().tolist() for y in spare.cut(x[:, :5])] == [[0, 1], [2]]
    with pytest.raises(ValueError, match="spare tokens"):
        Pieces((2,), spare=-1)
    with pytest.raises(ValueError, match="packed row of 9 tokens; got 1 rows of 8"):
        pieces.cut(x[:, 1:])
    with pytest.raises(ValueError, match="one whole number a document, 0 or more"):
        Pieces((3, -1))
    with pytest.raises(ValueError, match="one whole number a document, 0 or more"):
        Pieces(())


@pytest.mark.parametrize("gate", [False, True])
def test_a_layer_and_a_pooling_read_packed_rows(gate: bool) -> None:
    torch.manual_seed(0)
    x_1NM = torch.randn(1, 9, 8)
    layer, pooling = AttentionLayer(8, heads=2, output_gate=gate), AttentionPooling(8, queries=2, heads=2)
    for seen, alone in (
        (layer(x_1NM, pieces=Pieces((4, 5))), lambda x: layer(x)),
        (pooling(x_1NM, pieces=Pieces((4, 5))).flatten(0, 1)[None], lambda x: pooling(x)),
    ):
        torch.testing.assert_close(seen, torch.cat([alone(x_1NM[:, :4]), alone(x_1NM[:, 4:])], 1))


def test_what_a_packed_row_cannot_say_is_refused() -> None:
    x_1NM, pieces, keep = torch.randn(1, 9, 8), Pieces((4, 5)), torch.ones(1, 9, dtype=torch.bool)
    layer, pooling = AttentionLayer(8, heads=2), AttentionPooling(8)
    with pytest.raises(ValueError, match="nothing else"):
        layer(x_1NM, keep=keep, pieces=pieces)
    with pytest.raises(ValueError, match="pieces or keep"):
        pooling(x_1NM, keep=keep, pieces=pieces)
    below = AttentionLayer(8, CATALOGUE["recurrent"].operator, heads=2)
    with pytest.raises(ValueError, match="layer below"):
        below(x_1NM, pieces=pieces)
    for one in (layer, pooling):
        with tapped(one), pytest.raises(ValueError, match="listened to"):
            one(x_1NM, pieces=pieces)


@pytest.mark.parametrize("tokens", [(3, 0, 2), (0, 0)], ids=str)
def test_a_document_without_tokens_lifts_no_type_under_autocast(tokens: tuple[int, ...]) -> None:
    pieces = Pieces(tokens)
    q, kv = torch.randn(1, 2, 1, 8), torch.randn(1, 2, sum(tokens), 8)
    with torch.autocast("cpu", torch.bfloat16):
        out = pool_packed(q, kv, kv, pieces=pieces)
    assert out.dtype == (torch.bfloat16 if any(tokens) else torch.float32)
