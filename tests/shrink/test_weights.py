"""Changes of how weights are held: ranks, zeros, whole numbers; each against its formula in plain terms."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnkit.layers.int8_linear import Int8Linear
from attnkit.layers.rounding import Rounding
from attnkit.layers.stored import HalfLinear, HalfTable, IntegerLinear, IntegerTable
from attnkit.layers.through import LinearThrough, RoundedThrough, ZerosThrough
from attnkit.model.build import build_model
from attnkit.model.changes import apply_changes, change_from_plain, changes_from_plain
from attnkit.model.changes.integer_weights import rounding_of
from attnkit.model.changes.low_rank import factors, rank_for
from tests.shrink.networks import CLASSES, VOCABULARY, changed, logits, network, settings

QUERY = "encoder.layers.0.attention.query"


def close(one: Tensor, other: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=atol)


def with_weights(model: nn.Module, new: Any, kinds: tuple[type[nn.Module], ...]) -> nn.Module:
    """The same network with new(w) in the place of each weight of these modules."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, kinds):
                weight = module.get_parameter("weight")
                weight.copy_(new(weight))
    return model


@pytest.mark.parametrize("bits, group", [(8, 0), (8, 6), (4, 0), (4, 2), (4, 64)])
def test_rounded_rows_come_back_within_half_a_step(bits: int, group: int) -> None:
    rounding, most = Rounding(bits, group), 2 ** (bits - 1) - 1
    torch.manual_seed(0)
    weight = torch.randn(5, 13) * torch.logspace(-3, 2, 5).unsqueeze(1)
    weight[1] = 0
    codes, scale = rounding.codes(weight)
    back = rounding.weights(codes, scale, 13)
    assert codes.dtype == (torch.int8 if bits == 8 else torch.uint8) and codes.shape == (5, 13 if bits == 8 else 7)
    assert torch.equal(back, rounding.rounded(weight)) and not back[1].any()
    for row in range(5):
        for column in range(13):
            width = group or 13
            part = weight[row, column // width * width : (column // width + 1) * width]
            assert abs(float(back[row, column] - weight[row, column])) <= 0.501 * float(part.abs().max()) / most
    # The largest of each group is kept as it is, up to the last bit of the scale.
    assert float((back.abs().amax(1) - weight.abs().amax(1)).abs().max()) < 1e-4
    with pytest.raises(ValueError, match="of 8 or of 4 bits; got bits = 3"):
        Rounding(3)


@pytest.mark.parametrize("encoder", ["transformer", "bert", "bilstm"])
@pytest.mark.parametrize("fields", [{"bits": 8}, {"bits": 4}, {"bits": 4, "group": 4}])
def test_integer_weights_answer_as_rounded_ones(encoder: str, fields: dict[str, int]) -> None:
    rounding = Rounding(fields["bits"], fields.get("group", 64 if fields["bits"] == 4 else 0))
    plain = with_weights(network(encoder), rounding.rounded, (nn.Linear, nn.Embedding))
    stored = changed(network(encoder), "integer_weights", **fields)
    close(logits(stored), logits(plain))
    assert any(isinstance(module, IntegerTable) for module in stored.modules())
    assert isinstance(stored.get_submodule("head"), IntegerLinear)
    with pytest.raises(ValueError, match="no linear map or table is left"):
        changed(stored, "integer_weights", bits=8)


def test_bfloat16_weights_answer_as_if_cut() -> None:
    plain = with_weights(network(), lambda weight: weight.bfloat16().float(), (nn.Linear, nn.Embedding))
    stored = changed(network(), "bfloat16")
    close(logits(stored), logits(plain), 1e-6)
    kinds = {type(module) for module in stored.modules()}
    assert {HalfLinear, HalfTable} <= kinds and not {nn.Linear, nn.Embedding} & kinds
    assert logits(stored).dtype == torch.float32


def test_fake_integers_are_what_integers_become_and_learn() -> None:
    fake = changed(network(), "fake_integers", bits=4, group=4).train()
    optimizer = torch.optim.SGD(fake.parameters(), lr=0.5)
    before = fake.get_parameter("embedding.rows.weight").detach().clone()
    ids, keep = torch.tensor([[4, 5, 6]]), torch.ones(1, 3, dtype=torch.bool)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = -fake(ids, keep).log_softmax(-1)[0, 1]
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] and not torch.equal(before, fake.get_parameter("embedding.rows.weight"))
    said = logits(fake.eval())
    close(logits(changed(fake, "integer_weights", bits=4, group=4)), said)


def test_the_gradient_passes_rounding_as_if_there_was_none() -> None:
    weight = torch.randn(3, 4, dtype=torch.float64)
    fake = changed(nn.Sequential(nn.Linear(4, 3).double()), "fake_integers", bits=8).get_submodule("0")
    assert isinstance(fake, LinearThrough)
    x = torch.randn(2, 4, dtype=torch.float64)
    fake(x).square().sum().backward()
    y = fake(x).detach()
    assert fake.weight.grad is not None and fake.weight.shape == weight.shape
    torch.testing.assert_close(fake.weight.grad, 2 * y.T @ x)


def test_low_rank_is_the_nearest_of_its_rank() -> None:
    torch.manual_seed(0)
    for shape in ((6, 11), (11, 6)):
        weight, inputs = torch.randn(shape), torch.randn(200, shape[1]) @ torch.randn(shape[1], shape[1])
        left, values, right = torch.linalg.svd(weight, full_matrices=False)
        up, down = factors(weight, 3)
        close(up @ down, left[:, :3] @ torch.diag(values[:3]) @ right[:3], 1e-4)
        close(up.norm(), down.norm(), 1e-4)
        seen = factors(weight, 3, (inputs.T @ inputs).double())
        mine, other = ((weight - u @ d) @ inputs.T for u, d in (seen, (up, down)))
        # By Eckart and Young no rank 3 leaves less of W X than its singular values beyond the third.
        least = torch.linalg.svdvals(weight @ inputs.T)[3:].square().sum()
        assert float(mine.square().sum()) <= float(least) * 1.001 < float(other.square().sum())
    assert rank_for(torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.0])), 13 / 14) is None
    wide = torch.zeros(8, 8)
    wide[0, 0], wide[1, 1], wide[2, 2] = 3, 2, 1
    assert rank_for(wide, 13 / 14) == 2 and rank_for(wide, 0.5) == 1 and rank_for(wide, 1.0) == 3


def test_a_map_of_low_rank_is_itself_and_what_stays_is_its_bias() -> None:
    model = network()
    with torch.no_grad():
        weight = model.get_parameter(f"{QUERY}.weight")
        weight.copy_(weight[:, :3] @ torch.randn(3, 16))
    said = logits(model)
    close(logits(changed(model, "low_rank", modules=[QUERY], ranks=[3])), said, 1e-4)
    assert model.get_parameter(f"{QUERY}.0.weight").shape == (3, 16)
    with pytest.raises(ValueError, match="at 'encoder.layers.9' stands nothing"):
        changed(network(), "low_rank", modules=["encoder.layers.9"], ranks=[3])
    with pytest.raises(ValueError, match="query is 16 x 16, and a rank of 16 takes nothing"):
        changed(network(), "low_rank", modules=[QUERY], ranks=[16])
    with pytest.raises(ValueError, match="2 modules and 1 ranks"):
        changed(network(), "low_rank", modules=[QUERY, "head"], ranks=[16])


def test_an_embedding_of_low_rank_is_itself() -> None:
    model = network()
    with torch.no_grad():
        table = model.get_parameter("embedding.rows.weight")
        table.copy_(table[:, :5] @ torch.randn(5, 16))
        table[0] = 0
    said = logits(model)
    close(logits(changed(model, "factorize_embedding", rank=5)), said, 1e-4)
    assert model.get_parameter("embedding.rows.rows.weight").shape == (VOCABULARY, 5)
    assert not model.get_parameter("embedding.rows.rows.weight")[0].any()


def test_words_that_are_read_often_lose_least() -> None:
    def feed(model: nn.Module, texts: int) -> None:
        model(torch.tensor([[4, 5, 6]] * texts), torch.ones(texts, 3, dtype=torch.bool))

    plain = network().get_parameter("embedding.rows.weight")
    errors = []
    for given in (None, feed):
        model = network()
        apply_changes(model, (change_from_plain({"kind": "factorize_embedding", "rank": 3, "texts": 4}),), given)
        with torch.no_grad():
            found = model.get_submodule("embedding.rows")(torch.tensor([4, 5, 6]))
            errors.append(float((found - plain[4:7]).norm()))
    assert errors[1] < 1e-5 < errors[0]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rounded", [True, False])
def test_zeros_stay_zeros_while_the_rest_learns(training: bool, rounded: bool) -> None:
    model = changed(network(), "magnitude", share=0.5)
    weight = model.get_parameter(f"{QUERY}.weight")
    zero = weight == 0
    assert int(zero.sum()) == 128
    whole = network().get_parameter(f"{QUERY}.weight").abs()
    assert bool(whole[zero].max() <= whole[~zero].min())
    if rounded:
        changed(model, "fake_integers", bits=8)
    before = weight.detach().clone()
    # Updates from feedback learn in evaluation mode.
    optimizer = torch.optim.AdamW(model.train(training).parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.tensor([[4, 5, 6]]), torch.ones(1, 3, dtype=torch.bool)).square().sum().backward()
        optimizer.step()
    assert torch.equal(weight == 0, zero) and bool((weight != before)[~zero].all())
    said = logits(model.eval())
    after = logits(changed(model, "integer_weights", bits=8))
    assert after.sub(said).abs().max() < (1e-5 if rounded else 0.2) * said.abs().max()
    codes = dict(model.named_buffers())[f"{QUERY}.codes"]
    assert not codes[zero].any()


@pytest.mark.parametrize("static", [False, True])
def test_products_of_whole_numbers_are_those_of_rounded_ones(static: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(9, 5)
    made = Int8Linear(linear.weight, linear.bias, static)
    x = torch.randn(2, 4, 9) * torch.tensor([0.01, 1.0, 3.0, 0.0])[:, None]
    if static:
        made.largest.fill_(2.0)
    largest = torch.full((2, 4, 1), 2.0) if static else x.abs().amax(-1, keepdim=True)
    step = (largest / 127).clamp(min=1e-12)
    whole = (x / step).round().clamp(-127, 127) * step
    wanted = nn.functional.linear(whole, Rounding(8).rounded(linear.weight), linear.bias)
    with torch.no_grad():
        close(made(x), wanted)
        assert made(x[:, :0]).shape == (2, 0, 5)
    asked = x.clone().requires_grad_()
    close(made(asked), wanted)
    made(asked).sum().backward()
    inside = (x.abs() <= largest).float()
    assert asked.grad is not None
    close(asked.grad, Rounding(8).rounded(linear.weight).sum(0).detach() * inside, 1e-4)


@pytest.mark.parametrize("kind", ["dynamic_int8", "static_int8"])
def test_networks_of_int8_products_answer_nearly_alike(kind: str) -> None:
    def feed(model: nn.Module, texts: int) -> None:
        assert texts == 7
        logits(model)

    plain, made = logits(network()), network()
    fields = {"texts": 7} if kind == "static_int8" else {}
    apply_changes(made, (change_from_plain({"kind": kind, **fields}),), feed)
    assert float((logits(made) - plain).abs().max()) < 0.1 * float(plain.abs().max())
    assert isinstance(made.get_submodule(QUERY), Int8Linear)
    if kind == "static_int8":
        assert float(made.get_buffer(f"{QUERY}.largest")) > 1.2


ALL = (
    {"kind": "remove_heads", "layer": 0, "heads": [1]},
    {"kind": "window", "layer": 1, "width_tokens": 5},
    {"kind": "prune_vocabulary", "kept": "0-9,12", "rows": VOCABULARY},
    {"kind": "low_rank", "modules": [QUERY], "ranks": [3], "texts": 2},
    {"kind": "factorize_embedding", "rank": 5, "texts": 2},
    {"kind": "magnitude", "share": 0.25},
    {"kind": "dynamic_int8"},
    {"kind": "integer_weights", "bits": 4, "group": 4},
)


def test_all_together_have_shapes_without_weights_and_load() -> None:
    whole = network()
    apply_changes(whole, changes_from_plain(ALL))
    # Eleven tokens are left of the vocabulary.
    made = build_model(settings(changes=ALL), 11, CLASSES)
    with torch.device("meta"):
        shapes = build_model(settings(changes=ALL), 11, CLASSES)
    of = [{n: (v.shape, v.dtype) for n, v in one.state_dict().items()} for one in (whole, made, shapes)]
    assert of[0] == of[1] == of[2] and all(value.is_meta for value in shapes.state_dict().values())
    made.load_state_dict(whole.state_dict())
    ids, keep = torch.tensor([[4, 5, 10, 3]]), torch.ones(1, 4, dtype=torch.bool)
    with torch.no_grad():
        close(made.eval()(ids, keep), whole(ids, keep), 1e-6)
    with pytest.raises(ValueError, match="keeps 11 rows, and the tokenizer knows 12 tokens"):
        build_model(settings(changes=ALL), 12, CLASSES)
    for one in changes_from_plain(ALL):
        assert change_from_plain(one.to_plain()) == one and hash(one) == hash(change_from_plain(one.to_plain()))


def test_what_comes_in_the_wrong_order_is_refused() -> None:
    with pytest.raises(ValueError, match="change 1 .remove_heads. cannot come behind integer_weights: first comes"):
        changes_from_plain([{"kind": "integer_weights"}, ALL[0]])
    with pytest.raises(ValueError, match="this network predicts words with its table"):
        changed(network("bert", language="masked"), "integer_weights")


def test_zeros_stay_zeros_in_whatever_mode_weights_learn() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(6, 4)
    with torch.no_grad():
        linear.weight[:, ::2] = 0
    for through in ([ZerosThrough()], [ZerosThrough(), RoundedThrough(rounding_of(8, 0))]):
        held: nn.Linear | LinearThrough = copy.deepcopy(linear)
        for one in through:
            held = LinearThrough.of(held, one)
        for training in (True, False):
            held.train(training)
            optimizer = torch.optim.Adam(held.parameters(), lr=0.1)
            held(torch.randn(3, 6)).square().sum().backward()
            optimizer.step()
            assert (held.weight[:, ::2] == 0).all() and (held.weight[:, 1::2] != linear.weight[:, 1::2]).any()


@pytest.mark.parametrize("held", [{"kind": "magnitude", "share": 0.5}, {"kind": "integer_weights"}])
def test_heads_and_units_do_not_go_once_weights_are_held_otherwise(held: dict[str, Any]) -> None:
    for kind, gone in (("remove_heads", {"heads": (0,)}), ("remove_units", {"units": (0,)})):
        model = network()
        apply_changes(model, (change_from_plain(held),))
        with pytest.raises(ValueError, match="holds the weights of a linear map; take out heads and units before"):
            changed(model, kind, layer=0, **gone)
