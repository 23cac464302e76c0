"""Frozen weights stay, without gradients or state; they are freed from the top; stopped and resumed is the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from attnkit.errors import UsageError
from attnkit.model.build import build_model
from attnkit.model.depth import depths, encoder_layers
from attnkit.model.settings import ModelSettings
from attnkit.run.checkpoint import load_checkpoint
from attnkit.run.sections_learning import StartSettings
from attnkit.train import load, train
from attnkit.train.freezing import Freezing, matching
from tests.train.small import SMALL, small_data
from tests.train.test_models import KINDS, settings_of
from tests.train.test_resume import Crash, assert_same_end, stop_at

DEEP = {**SMALL, "watch_rows": 0, "encoder": "transformer", "layers": 3, "heads": 2, "weight_decay": 0.0}


def bert(layers: int = 3) -> torch.nn.Module:
    settings = ModelSettings.model_validate(
        {**settings_of("bert").model_dump(mode="json"), "layers": layers, "beside": []}
    )
    return build_model(settings, 40, 3)


def test_depths_go_from_embeddings_to_the_head() -> None:
    depth = depths(bert())
    assert {name.split(".")[2]: one for name, one in depth.items() if name.startswith("encoder.layers.")} == {
        "0": 1, "1": 2, "2": 3,
    }  # fmt: skip
    for begins, wanted in (
        ("embedding.", 0),
        ("places.", 0),
        ("encoder.input_norm.", 0),
        ("summary.", 4),
        ("head.", 4),
    ):
        assert {one for name, one in depth.items() if name.startswith(begins)} == {wanted}, begins


@pytest.mark.parametrize("kind", KINDS)
def test_every_network_has_depths_without_gaps(kind: str) -> None:
    model = build_model(settings_of(kind), 40, 3)
    depth = depths(model)
    assert sorted(set(depth.values())) == list(range(max(depth.values()) + 1))
    assert depth["head.weight"] == max(depth.values()) > encoder_layers(model)
    last = depth.get("encoder.norm.weight")
    assert last is None or last == encoder_layers(model)


def test_names_stand_for_layers_and_parameters() -> None:
    depth = depths(bert())
    layer = {name for name in depth if name.startswith("encoder.layers.1.")}
    assert set(matching("encoder.1", depth)) == layer
    assert layer < set(matching("encoder", depth))
    assert set(matching("embedding.rows", depth)) == {"embedding.rows.weight"}
    assert set(matching("pooling", depth)) == {name for name in depth if name.startswith("summary.")}
    assert "encoder.input_norm.weight" in matching("embedding", depth)
    with pytest.raises(UsageError, match=r"it has embedding, encoder, encoder.0 to encoder.2, pooling, head"):
        matching("encoder.3", depth)


def learning(model: torch.nn.Module) -> set[int]:
    depth = depths(model)
    return {depth[name] for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_layers_are_freed_from_the_top_as_a_function_of_epochs() -> None:
    model = bert()
    freezing = Freezing(model, StartSettings(freeze=("embedding", "encoder"), unfreeze_epochs=0.5))
    for epochs, wanted in (
        (0.0, {4}),
        (0.49, {4}),
        (0.5, {3, 4}),
        (1.3, {2, 3, 4}),
        (1.5, {1, 2, 3, 4}),
        (9, {0, 1, 2, 3, 4}),
    ):
        freezing.at(epochs)
        assert learning(model) == wanted, epochs
    # Whoever goes on from the middle finds the same.
    other = bert()
    Freezing(other, StartSettings(freeze=("embedding", "encoder"), unfreeze_epochs=0.5)).at(1.3)
    assert learning(other) == {2, 3, 4}


def test_without_unfreezing_nothing_is_freed_and_a_name_may_free_the_rest() -> None:
    model = bert()
    freezing = Freezing(model, StartSettings(freeze=("encoder.0",)))
    assert freezing.at(0) > 0 and freezing.at(100) == 0
    assert learning(model) == {0, 2, 3, 4}
    with pytest.raises(UsageError, match="nothing is frozen"):
        Freezing(bert(), StartSettings(unfreeze_epochs=1.0))
    with pytest.raises(UsageError, match="leaves nothing to learn"):
        Freezing(bert(), StartSettings(freeze=("embedding", "encoder", "pooling", "head")))


def weights(run: Any) -> dict[str, Tensor]:
    return dict(load(run).network.state_dict())


def test_frozen_weights_stay_bit_for_bit_and_have_no_state(tmp_path: Path) -> None:
    data = small_data(tmp_path, 40)
    with pytest.raises(Crash):
        train(
            data,
            out=tmp_path / "a",
            progress=stop_at(6),
            checkpoint_every_steps=5,
            **DEEP,
            freeze=["embedding", "encoder.0"],
        )
    held = load_checkpoint(tmp_path / "a.partial" / "checkpoint.safetensors")
    with_state = {int(name.split("/")[0]) for name in held.groups["optimizer"]}
    run = train(data, out=tmp_path / "a", resume=True)
    again = train(data, out=tmp_path / "b", **{**DEEP, "learning_rate": 0.5}, freeze=["embedding", "encoder.0"])
    one, other = weights(run), weights(again)
    depth = depths(load(run).network)
    frozen = {name for name, place in depth.items() if place <= 1}
    assert all(torch.equal(one[name], other[name]) for name in frozen)
    assert not torch.equal(one["encoder.layers.1.wide.0.weight"], other["encoder.layers.1.wide.0.weight"])
    assert len(with_state) == len(depth) - len(frozen)


def test_stopped_between_two_freed_layers_and_resumed_is_the_same(tmp_path: Path) -> None:
    data = small_data(tmp_path, 40)
    how = {**DEEP, "freeze": ["embedding", "encoder"], "unfreeze_epochs": 0.2, "checkpoint_every_steps": 3}
    whole = train(data, out=tmp_path / "whole", **how)
    with pytest.raises(Crash):
        train(data, out=tmp_path / "parts", progress=stop_at(5), **how)
    parts = train(data, out=tmp_path / "parts", resume=True)
    assert_same_end(whole.path, parts.path)
    start = train(data, out=tmp_path / "still", **{**how, "unfreeze_epochs": 0.0})
    assert not torch.equal(
        weights(whole)["encoder.layers.0.wide.0.weight"], weights(start)["encoder.layers.0.wide.0.weight"]
    )


def test_a_network_without_layers_may_keep_its_embeddings(tmp_path: Path) -> None:
    run = train(small_data(tmp_path), out=tmp_path / "run", **{**SMALL, "encoder": "none", "freeze": ["embedding"]})
    assert run.complete
    with pytest.raises(UsageError, match="which this network has not; it has embedding, pooling, head"):
        train(small_data(tmp_path), out=tmp_path / "no", **{**SMALL, "encoder": "none", "freeze": ["encoder"]})
