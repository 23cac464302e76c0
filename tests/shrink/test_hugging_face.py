"""Encoders of transformers without some of their heads, in memory and as a run of ours."""

from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.errors import UsageError
from attnkit.shrink import shrink
from attnkit.shrink.hugging_face import heads_of, remove_heads
from attnkit.train import load, train
from tests.train.checkpoints import saved
from tests.train.small import small_data

GONE = {0: [1], 1: [0, 2]}
OUT = {"distilbert": "transformer.layer.{}.attention.out_lin"}
KINDS = ("bert", "roberta", "distilbert", "electra")


def answers(model: Any) -> torch.Tensor:
    ids = torch.randint(5, 20, (2, 7), generator=torch.Generator().manual_seed(0))
    keep = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=keep).last_hidden_state[keep.bool()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["sdpa", "eager"])
def test_removed_heads_are_masked_heads(kind: str, way: str, tmp_path: Path) -> None:
    model = saved(kind, tmp_path / kind)
    model.set_attn_implementation(way)
    path = OUT.get(kind, "encoder.layer.{}.attention.output.dense")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for layer, heads in GONE.items():
            for head in heads:
                model.get_submodule(path.format(layer)).weight[:, head * 8 : head * 8 + 8] = 0
        masked = answers(model)
        model.load_state_dict(before)
    whole = answers(model)
    remove_heads(model, GONE)
    assert heads_of(model) == [2, 1] and model.get_submodule(path.format(1)).in_features == 8
    torch.testing.assert_close(answers(model), masked, rtol=0, atol=1e-6)
    assert not torch.allclose(whole, masked, atol=1e-3)


def test_what_cannot_go_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    model = saved("bert", tmp_path / "bert")
    for gone, sentence in (
        ({0: [0], 2: [0]}, "there is no layer 2: BertModel has 2"),
        ({0: [3]}, "layer 0: there is no head 3: there are 3"),
        ({0: [0], 1: [0, 1, 2]}, "all 3 heads of layer 1 would go"),
        ({0: [-1]}, "numbered from 0; got -1"),
    ):
        with pytest.raises(UsageError, match=sentence):
            remove_heads(model, gone)
    assert heads_of(model) == [3, 3]
    with pytest.raises(UsageError, match="this is a Linear"):
        remove_heads(torch.nn.Linear(2, 2), {0: [0]})


def test_a_run_from_a_checkpoint_is_shrunk_and_kept(tmp_path: Path) -> None:
    model = saved("bert", tmp_path / "bert")
    data = small_data(tmp_path)
    run = train(data, out=tmp_path / "run", start_from=str(tmp_path / "bert"), epochs=0)
    made = shrink(run, heads="2", importance="gradient", epochs=0, out=tmp_path / "child")
    gone = {change.layer: change.heads for change in made.plan.changes}  # type: ignore[attr-defined]
    assert sum(map(len, gone.values())) == 2
    remove_heads(model, gone)
    theirs, ours = model.state_dict(), load(made.run).network.state_dict()
    for layer in range(2):
        for name, other in (("self.query", "query"), ("self.value", "value"), ("output.dense", "out")):
            one = theirs[f"encoder.layer.{layer}.attention.{name}.weight"]
            assert torch.equal(one, ours[f"encoder.layers.{layer}.attention.{other}.weight"])
