"""Changes: what is taken out is as if it were zero, and what cannot be taken out is refused."""

from typing import Any

import pytest
import torch
from torch import nn

from attnkit.attention.catalogue import CATALOGUE
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.plain import to_plain
from attnkit.attention.position import Alibi
from attnkit.attention.refine import Convolution, HeadGate, Span
from attnkit.capture.record import capture
from attnkit.layers import AttentionLayer
from attnkit.model.build import build_model
from attnkit.model.changes import KINDS, change_from_plain
from attnkit.model.changes.base import layers_of
from attnkit.model.changes.remove_heads import without_heads
from tests.shrink.networks import CLASSES, VOCABULARY, changed, logits, mask_heads, network, settings

# Operators whose heads cannot go one by one, and a word of the reason.
TIED = {
    "talking-heads": "refine.0.score_mix",
    "recurrent": "layer below",
    "evolving": "layer below",
}


def close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("encoder", ["transformer", "bert"])
def test_removed_heads_are_masked_heads(name: str, encoder: str) -> None:
    if name in ("documents", "alibi"):
        pytest.skip("texts of a padded batch are no documents; ALiBi has a test of its own")
    if name in TIED:
        with pytest.raises(ValueError, match=TIED[name]):
            changed(network(encoder, attention=name), "remove_heads", layer=1, heads=[0, 2])
        return
    masked = mask_heads(mask_heads(network(encoder, attention=name), 1, (0, 2)), 0, (3,))
    removed = changed(network(encoder, attention=name), "remove_heads", layer=1, heads=[0, 2])
    changed(removed, "remove_heads", layer=0, heads=[3])
    assert layers_of(removed)[1].get_submodule("attention").get_submodule("query").weight.shape == (8, 16)
    close(logits(removed), logits(masked))


def test_what_hangs_on_the_number_of_heads_is_found_by_trying() -> None:
    # Of four slopes of ALiBi the second and the last are those of two heads.
    close(
        logits(changed(network(attention="alibi"), "remove_heads", layer=1, heads=[0, 2])),
        logits(mask_heads(network(attention="alibi"), 1, (0, 2))),
    )
    with pytest.raises(
        ValueError, match="heads of Pairwise cannot go one by one: what one of its heads gives hangs on"
    ):
        changed(network(attention="alibi"), "remove_heads", layer=1, heads=[0, 1])


@pytest.mark.parametrize(
    "spec",
    [
        Pairwise(position=Alibi(slope=0.5, learned=True)),
        Pairwise(refine=(Span(max_tokens=8, ramp_tokens=4), HeadGate(), Convolution(queries=1, keys=3))),
    ],
)
def test_what_an_operator_learns_a_head_goes_with_the_head(spec: Pairwise) -> None:
    plain = to_plain(spec)
    masked = mask_heads(network(attention=plain), 0, (1, 2))
    close(logits(changed(network(attention=plain), "remove_heads", layer=0, heads=[1, 2])), logits(masked))


@pytest.mark.parametrize("encoder", ["transformer", "bert"])
def test_a_layer_without_heads_gives_its_bias(encoder: str) -> None:
    every = (0, 1, 2, 3)
    bare = changed(network(encoder), "remove_heads", layer=0, heads=list(every))
    close(logits(bare), logits(mask_heads(network(encoder), 0, every)))
    with capture(bare) as seen:
        logits(bare)
    assert [layer.name for layer in seen.layers] == ["encoder.layers.1.attention", "summary.pooling"]
    with pytest.raises(ValueError, match="layer 0 has no head left"):
        changed(bare, "remove_heads", layer=0, heads=[0])


def test_heads_that_share_keys_go_by_groups() -> None:
    def layer() -> AttentionLayer:
        torch.manual_seed(0)
        return AttentionLayer(16, heads=4, key_heads=2, head_width=6, value_width=3, output_gate=True)

    x_BTM = torch.randn(2, 5, 16)
    for heads, groups in (([0, 1], 1), ([0, 2], 2)):
        masked, narrow = layer(), layer()
        with torch.no_grad():
            for head in {0, 1, 2, 3} - set(heads):
                masked.out.weight[:, head * 3 : head * 3 + 3] = 0
        without_heads(narrow, heads)
        assert groups == narrow.layout.G and narrow.key.out_features == groups * 6
        close(narrow(x_BTM), masked(x_BTM))
    with pytest.raises(ValueError, match="4 query heads share 2 key heads, 2 each; take out whole groups"):
        without_heads(layer(), [0, 1, 2])


@pytest.mark.parametrize("encoder", ["transformer", "bert"])
def test_removed_units_are_zero_units(encoder: str) -> None:
    zero = network(encoder)
    last = list(layers_of(zero)[1].get_submodule("wide").children())[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight[:, [0, 5, 7]] = 0
    close(logits(changed(network(encoder), "remove_units", layer=1, units=[5, 0, 7])), logits(zero))


def test_a_dropped_layer_is_passed_by() -> None:
    whole = network(layers=3, layer_dropout=0.3)
    layers = layers_of(whole)
    layers[1].register_forward_hook(lambda module, given, out: (given[0], out[1]))
    passed = logits(whole)
    less = changed(network(layers=3, layer_dropout=0.3), "drop_layers", layers=[1])
    close(logits(less), passed)
    assert [layer.get_submodule("depth").rate for layer in layers_of(less)] == pytest.approx([0.15, 0.3])


def test_changes_come_one_after_another_and_make_shapes_without_weights() -> None:
    plain = (
        {"kind": "drop_layers", "layers": [0]},
        {"kind": "remove_heads", "layer": 0, "heads": [1]},
        {"kind": "remove_heads", "layer": 0, "heads": [1]},
        {"kind": "remove_units", "layer": 0, "units": [3]},
    )
    whole = network()
    for one in plain:
        change_from_plain(one).apply(whole)
    made = build_model(settings(changes=plain), VOCABULARY, CLASSES)
    with torch.device("meta"):
        shapes = build_model(settings(changes=plain), VOCABULARY, CLASSES)
    assert all(value.is_meta for value in shapes.state_dict().values())
    of = [{name: value.shape for name, value in one.state_dict().items()} for one in (whole, made, shapes)]
    assert of[0] == of[1] == of[2]
    made.load_state_dict(whole.state_dict())
    close(logits(made.eval()), logits(whole))
    # The second of the four heads went, then the second of those left, which had been the third.
    torch.testing.assert_close(
        layers_of(whole)[0].get_submodule("attention").get_submodule("query").weight,
        layers_of(network())[1].get_submodule("attention").get_submodule("query").weight[[0, 1, 2, 3, 12, 13, 14, 15]],
    )


def test_what_waits_still_waits_and_keeps_its_type() -> None:
    whole = network().to(torch.bfloat16).requires_grad_(False)
    changed(changed(whole, "remove_heads", layer=0, heads=[0]), "remove_units", layer=0, units=[0])
    assert all(p.dtype == torch.bfloat16 and not p.requires_grad for p in whole.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_plain_data_and_back(kind: str) -> None:
    plain: dict[str, Any] = {
        "remove_heads": {"layer": 0, "heads": [1, 2]},
        "remove_units": {"layer": 1, "units": [0]},
        "drop_layers": {"layers": [1]},
        "window": {"layer": 0, "width_tokens": 5},
        "prune_vocabulary": {"kept": "0-9,12", "rows": 30},
        "low_rank": {"modules": ["head"], "ranks": [2], "texts": 0},
        "factorize_embedding": {"rank": 2, "module": "embedding.rows", "texts": 8},
        "magnitude": {"share": 0.5},
        "fake_integers": {"bits": 4, "group": 32},
        "integer_weights": {"bits": 8, "group": 0},
        "static_int8": {"texts": 16},
    }.get(kind, {})
    change = change_from_plain({"kind": kind, **plain})
    assert change.to_plain() == {"kind": kind, **plain} and change_from_plain(change.to_plain()) == change


@pytest.mark.parametrize(
    ("plain", "sentence"),
    [
        ("drop_layers", "a change is a table with a kind"),
        ({"kind": "remove_head", "layer": 0}, "no change of kind 'remove_head' .did you mean 'remove_heads'"),
        ({"kind": "remove_heads", "layer": 0, "head": [1]}, "no field 'head' .did you mean 'heads'.*; it takes layer"),
        ({"kind": "remove_heads", "layer": 0}, "remove_heads needs the field 'heads'"),
        ({"kind": "remove_heads", "layer": 0, "heads": 1}, "remove_heads.heads must be a list; got 1"),
        ({"kind": "remove_heads", "layer": True, "heads": [1]}, "remove_heads.layer must be a whole number"),
        ({"kind": "remove_heads", "layer": 0, "heads": []}, "remove_heads.heads names nothing"),
        ({"kind": "remove_units", "layer": 0, "units": [1, 1]}, "remove_units.units holds 1 twice"),
        ({"kind": "drop_layers", "layers": [-1]}, "drop_layers.layers holds -1"),
    ],
)
def test_plain_data_that_is_no_change(plain: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        change_from_plain(plain)


@pytest.mark.parametrize(
    ("more", "change", "sentence"),
    [
        ({}, {"kind": "remove_heads", "layer": 2, "heads": [0]}, "change 0 .remove_heads. cannot be made: there is"),
        ({}, {"kind": "remove_heads", "layer": 0, "heads": [4]}, "there is no head 4: there are 4, from 0 to 3"),
        ({}, {"kind": "remove_units", "layer": 0, "units": [64]}, "there is no unit 64"),
        ({}, {"kind": "remove_units", "layer": 0, "units": list(range(64))}, "all 64 units of layer 0 would go"),
        ({}, {"kind": "drop_layers", "layers": [0, 1]}, "all 2 layers would go"),
        ({"encoder": "bilstm"}, {"kind": "drop_layers", "layers": [0]}, "this network has a BiLSTM"),
        ({"encoder": "cnn"}, {"kind": "drop_layers", "layers": [0]}, "this network has a CNN"),
        ({"encoder": "none"}, {"kind": "drop_layers", "layers": [0]}, "this network has no encoder"),
    ],
)
def test_what_a_network_has_not_cannot_be_changed(more: Any, change: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build_model(settings(**more, changes=[change]), VOCABULARY, CLASSES)
