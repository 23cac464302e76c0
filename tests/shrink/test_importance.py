"""Importance: what a network was planted with is found, and weighing leaves no trace."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnkit.data.tokens import fit
from attnkit.errors import UsageError
from attnkit.model.changes.base import layers_of
from attnkit.model.changes.drop_layers import DropLayers
from attnkit.shrink.choose import amount, least_heads, least_units
from attnkit.shrink.importance.ablation import heads_by_ablation, layers_by_ablation
from attnkit.shrink.importance.gates import heads_by_gates
from attnkit.shrink.importance.gradient import heads_by_gradient, units_by_gradient
from attnkit.shrink.parent import Part
from attnkit.task.single_label import SingleLabel
from attnkit.train.preprocessing import Preprocessing
from tests.shrink.networks import CLASSES, VOCABULARY, mask_heads, network

TASK = SingleLabel(("a", "b", "c"))
PREPARE = Preprocessing(fit("word", ["a b"], vocabulary_size=10, lowercase=True, min_count=1), 20)
# (layer, heads) that alone say something.
PLANTED = {0: (2,), 1: (0, 3)}


def part(count: int = 40) -> Part:
    """Random texts of 1 to 9 tokens, with random labels."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 10, (count,), generator=generator).tolist()
    items = [torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]
    return Part([], items, torch.randint(CLASSES, (count,), generator=generator))


def labeled(model: nn.Module, rows: Part) -> Part:
    """The rows with the labels that the network gives them, so that what it says matters."""
    with torch.no_grad():
        return Part(rows.rows, rows.items, model(*PREPARE.collate(rows.items)).argmax(1))


def planted(**more: Any) -> nn.Module:
    """A network in which the other heads say nothing."""
    made = network(**more)
    for layer, heads in PLANTED.items():
        mask_heads(made, layer, tuple(head for head in range(4) if head not in heads))
    return made


def loss(model: nn.Module, rows: Part) -> float:
    with torch.no_grad():
        return float(TASK.loss(model(*PREPARE.collate(rows.items)), rows.targets))


def answers(model: nn.Module, rows: Part) -> Tensor:
    with torch.no_grad():
        return model(*PREPARE.collate(rows.items)).double()


def moved(said: Tensor, now: Tensor) -> float:
    """The divergence of what is said now from what was said, in plain words."""
    p, q = said.softmax(1), now.softmax(1)
    return float((p * (p / q).log()).sum(1).mean())


@pytest.mark.parametrize("encoder", ["transformer", "bert"])
@pytest.mark.parametrize("method", [heads_by_ablation, heads_by_gradient])
def test_silent_heads_are_worth_nothing(method: Callable[..., dict[int, list[float]]], encoder: str) -> None:
    model = planted(encoder=encoder)
    scores = method(model, TASK, PREPARE, labeled(model, part()))
    for layer, each in scores.items():
        for head, score in enumerate(each):
            assert (abs(score) > 1e-4) == (head in PLANTED[layer]), (layer, head, score)


def test_gates_of_silent_heads_close_first() -> None:
    model = planted()
    scores = heads_by_gates(model, TASK, PREPARE, labeled(model, part()), penalty=0.3, steps=60)
    for layer, each in scores.items():
        silent = [score for head, score in enumerate(each) if head not in PLANTED[layer]]
        assert max(silent) < min(each[head] for head in PLANTED[layer])


@pytest.mark.parametrize("attention", ["vaswani", "recurrent"])
def test_an_ablated_head_and_layer_are_those_that_are_zero(attention: str) -> None:
    rows = part()
    scores = heads_by_ablation(network(attention=attention), TASK, PREPARE, rows)
    said = answers(network(attention=attention), rows)
    for layer, head in ((0, 1), (1, 3)):
        masked = mask_heads(network(attention=attention), layer, (head,))
        assert scores[layer][head] == pytest.approx(moved(said, answers(masked, rows)), rel=1e-3)
    layers = layers_by_ablation(network(attention=attention), TASK, PREPARE, rows)
    for layer in (0, 1):
        less = network(attention=attention)
        DropLayers((layer,)).apply(less)
        assert layers[layer] == pytest.approx(moved(said, answers(less, rows)), rel=1e-3)


def test_a_gradient_is_the_slope_of_the_loss_at_each_head_and_unit() -> None:
    step, rows = 1e-3, part(1)

    def shifted(edit: Callable[[nn.Module, float], None], by: float) -> float:
        model = network().double()
        edit(model, by)
        return loss(model, rows)

    def slope(edit: Callable[[nn.Module, float], None]) -> float:
        return abs(shifted(edit, 1 + step) - shifted(edit, 1 - step)) / (2 * step)

    def head(model: nn.Module, factor: float) -> None:
        weight: Any = layers_of(model)[1].get_submodule("attention").get_submodule("out").weight
        with torch.no_grad():
            weight[:, 4:8] *= factor

    def unit(model: nn.Module, factor: float) -> None:
        weight: Any = layers_of(model)[0].get_submodule("wide").get_submodule("3").weight
        with torch.no_grad():
            weight[:, 7] *= factor

    model = network().double()
    assert heads_by_gradient(model, TASK, PREPARE, rows)[1][1] == pytest.approx(slope(head), rel=1e-4)
    assert units_by_gradient(model, TASK, PREPARE, rows)[0][7] == pytest.approx(slope(unit), rel=1e-4)


def test_texts_do_not_cancel_one_another() -> None:
    rows = part()
    whole = heads_by_gradient(network(), TASK, PREPARE, rows)[0]
    each = [
        heads_by_gradient(network(), TASK, PREPARE, Part([], [i], t[None]))[0]
        for i, t in zip(rows.items, rows.targets, strict=True)
    ]
    mean: Tensor = torch.tensor(each).mean(0)
    torch.testing.assert_close(torch.tensor(whole), mean, rtol=1e-3, atol=1e-5)


def test_weighing_leaves_no_trace() -> None:
    model, rows = network(), part()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    said = loss(model, rows)
    for method in (heads_by_ablation, layers_by_ablation, heads_by_gradient, units_by_gradient):
        method(model, TASK, PREPARE, rows)
    heads_by_gates(model, TASK, PREPARE, rows, steps=2)
    assert loss(model, rows) == said
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_the_least_go_and_the_last_head_of_a_layer_last() -> None:
    scores = {0: [0.1, 0.2], 1: [5.0, 4.0, 3.0]}
    gone = lambda count: {one.layer: one.heads for one in least_heads(scores, count)}  # noqa: E731
    assert gone(1) == {0: (0,)} and gone(2) == {0: (0,), 1: (2,)} and gone(3) == {0: (0,), 1: (1, 2)}
    assert gone(4) == {0: (0, 1), 1: (1, 2)} and gone(5) == {0: (0, 1), 1: (0, 1, 2)}
    units = least_units({0: [3.0, 1.0, 2.0, 0.0], 1: [1.0, 2.0, 3.0, 4.0]}, "50%")
    assert [(one.layer, one.units) for one in units] == [(0, (1, 3)), (1, (0, 1))]


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [("half", "takes a share such as 50% or a number"), ("0", "is 0 of the 8 heads"), ("120%", "is 10 of the 8 heads")],
)
def test_wishes_that_say_nothing(wish: str, sentence: str) -> None:
    assert amount("50%", 8, "heads") == 4 and amount("3", 8, "heads") == 3 and amount("12.5 %", 8, "heads") == 1
    with pytest.raises(UsageError, match=sentence):
        amount(wish, 8, "heads")
    with pytest.raises(UsageError, match="leaves layer 0 no unit"):
        least_units({0: [1.0]}, "100%")
