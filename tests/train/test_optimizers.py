"""Every optimizer against its printed formula in plain Python, in float64, and who is in which group."""

import math
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
import torch
from torch import nn

from attnkit.errors import UsageError
from attnkit.model.build import build_model
from attnkit.run.recipe import Recipe, recipe_from_plain
from attnkit.run.sections_learning import OptimizerSettings
from attnkit.train.applies import check_optimization
from attnkit.train.choices import Choices
from attnkit.train.choose_training import choose_training
from attnkit.train.groups import parameter_groups
from attnkit.train.optimizers import READS, USUAL_RATES, make_optimizer, optimizer_state, set_optimizer_state

NAMES = get_args(OptimizerSettings.model_fields["optimizer"].annotation)
GRADIENTS = (0.5, -2.0, 0.25, 0.1, 1.5, -0.75, 3.0)
RATE, DECAY, B1, B2, EPS, MOMENTUM = 0.1, 0.2, 0.8, 0.9, 1e-3, 0.7
Formula = Callable[[float, float], Iterator[float]]


def settings_for(name: str, **more: Any) -> Recipe:
    values = {"momentum": MOMENTUM, "first_moment": B1, "second_moment": B2, "epsilon": EPS}
    return Recipe().with_values(
        {
            "optimizer.optimizer": name,
            "learning_rate": RATE,
            "weight_decay": DECAY,
            **{field: value for field, value in values.items() if field in READS[name]},
            **more,
        }
    )


def adam_like(kind: str) -> Formula:
    """The adam family, one weight: w after each gradient."""

    def run(w: float, decay: float) -> Iterator[float]:
        m = v = u = 0.0
        product = 1.0
        for t, g in enumerate(GRADIENTS, 1):
            if kind in ("adamw", "nadam", "radam"):
                w -= RATE * decay * w
            else:
                g += decay * w
            m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
            m_hat, v_hat = m / (1 - B1**t), v / (1 - B2**t)
            if kind in ("adam", "adamw"):
                w -= RATE * m_hat / (math.sqrt(v_hat) + EPS)
            elif kind == "adamax":
                u = max(B2 * u, abs(g) + EPS)
                w -= RATE * m_hat / u
            elif kind == "nadam":
                now, then = (B1 * (1 - 0.5 * 0.96 ** (0.004 * one)) for one in (t, t + 1))
                product *= now
                ahead = then * m / (1 - product * then) + (1 - now) * g / (1 - product)
                w -= RATE * ahead / (math.sqrt(v_hat) + EPS)
            else:
                longest = 2 / (1 - B2) - 1
                length = longest - 2 * t * B2**t / (1 - B2**t)
                if length > 5:
                    rectified = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
                    w -= RATE * m_hat * math.sqrt(rectified) * math.sqrt(1 - B2**t) / (math.sqrt(v) + EPS)
                else:
                    w -= RATE * m_hat
            yield w

    return run


def sgd(nesterov: bool, momentum: float) -> Formula:
    def run(w: float, decay: float) -> Iterator[float]:
        b = 0.0
        for g in GRADIENTS:
            g += decay * w
            b = momentum * b + g
            w -= RATE * (g + momentum * b if nesterov else b)
            yield w

    return run


def adagrad(w: float, decay: float) -> Iterator[float]:
    total = 0.0
    for g in GRADIENTS:
        g += decay * w
        total += g * g
        w -= RATE * g / (math.sqrt(total) + EPS)
        yield w


def adadelta(w: float, decay: float) -> Iterator[float]:
    v = moved = 0.0
    for g in GRADIENTS:
        g += decay * w
        v = B2 * v + (1 - B2) * g * g
        step = math.sqrt(moved + EPS) / math.sqrt(v + EPS) * g
        moved = B2 * moved + (1 - B2) * step * step
        w -= RATE * step
        yield w


def rmsprop(w: float, decay: float) -> Iterator[float]:
    v = b = 0.0
    for g in GRADIENTS:
        g += decay * w
        v = B2 * v + (1 - B2) * g * g
        b = MOMENTUM * b + g / (math.sqrt(v) + EPS)
        w -= RATE * b
        yield w


def adafactor(w: float, decay: float) -> Iterator[float]:
    """A matrix of one entry: the product of row and column means over the mean is the mean square itself."""
    v = 0.0
    for t, g in enumerate(GRADIENTS, 1):
        share = t**-0.8
        size = max(1e-3, abs(w)) * min(RATE, 1 / math.sqrt(t))
        w -= RATE * decay * w
        v += share * (g * g - v)
        update = g / math.sqrt(v)
        w -= size * update / max(1.0, abs(update))
        yield w


def muon(w: float, decay: float) -> Iterator[float]:
    """A matrix of one entry: five quintic steps towards its sign, at 0.2 of the rate."""
    b = 0.0
    for g in GRADIENTS:
        b = MOMENTUM * b + (1 - MOMENTUM) * g
        x = b / abs(b)
        for _ in range(5):
            x = 3.4445 * x - 4.775 * x**3 + 2.0315 * x**5
        w -= RATE * decay * w
        w -= RATE * 0.2 * x
        yield w


FORMULAS: dict[str, tuple[str, dict[str, Any], Formula]] = {
    **{name: (name, {}, adam_like(name)) for name in ("adam", "adamw", "adamax", "nadam", "radam")},
    "sgd": ("sgd", {}, sgd(False, MOMENTUM)),
    "sgd without momentum": ("sgd", {"momentum": 0.0}, sgd(False, 0.0)),
    "sgd, nesterov": ("sgd", {"nesterov": True}, sgd(True, MOMENTUM)),
    "adagrad": ("adagrad", {}, adagrad),
    "adadelta": ("adadelta", {}, adadelta),
    "rmsprop": ("rmsprop", {}, rmsprop),
    "adafactor": ("adafactor", {}, adafactor),
    "muon": ("muon", {}, muon),
}


class OneWeight(nn.Module):
    """A hidden matrix of one entry, its bias, and an embedding of one row."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1, 1)
        self.hidden = nn.Linear(1, 1)
        self.to(dtype)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.fill_(1.25)


def walk(model: OneWeight, optimizer: torch.optim.Optimizer, gradients: tuple[float, ...]) -> dict[str, list[float]]:
    """The values of each parameter after each gradient, which is the same for all."""
    seen: dict[str, list[float]] = {name: [] for name, _ in model.named_parameters()}
    for gradient in gradients:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
        for name, parameter in model.named_parameters():
            seen[name].append(parameter.item())
    return seen


def test_every_name_has_a_formula_and_is_read_from() -> None:
    assert {name for name, _, _ in FORMULAS.values()} == set(NAMES) == set(READS) == set(USUAL_RATES)


def test_the_rate_is_chosen_for_the_optimizer_and_the_rise_for_one_cycle() -> None:
    choices = Choices(
        Recipe().with_values({"optimizer": "sgd", "schedule": "one_cycle", "epochs": 4, "batch_rows": 10})
    )
    choose_training(choices, 500)
    assert choices.recipe.train.learning_rate == USUAL_RATES["sgd"] and choices.recipe.train.warmup_steps == 60
    timed = Choices(Recipe().with_values({"schedule": "one_cycle", "minutes": 1.0, "batch_rows": 10}))
    with pytest.raises(UsageError, match=r"under train\.minutes their number is not known"):
        choose_training(timed, 500)


@pytest.mark.parametrize("case", FORMULAS)
def test_formula(case: str) -> None:
    name, more, formula = FORMULAS[case]
    model = OneWeight()
    seen = walk(model, make_optimizer(model, settings_for(name, **more)), GRADIENTS)
    # The steps of muon are computed in bfloat16, and nadam keeps the product of its momenta in float32.
    near = {"muon": 2e-3, "nadam": 1e-6}.get(name, 1e-9)
    assert seen["hidden.weight"] == pytest.approx(list(formula(1.25, DECAY)), rel=near)
    beside = adam_like("adamw") if name == "muon" else formula
    if name == "adafactor":
        return
    # Neither a bias nor an embedding decays.
    plain = 1e-6 if name == "nadam" else 1e-9
    assert seen["hidden.bias"] == pytest.approx(list(beside(1.25, 0.0)), rel=plain)
    assert seen["embedding.weight"] == pytest.approx(list(beside(1.25, 0.0)), rel=plain)


def test_adafactor_takes_rows_and_columns_and_lets_biases_be() -> None:
    model = nn.Linear(2, 2).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0], [0.5, 3.0]]))
    optimizer = make_optimizer(model, settings_for("adafactor"))
    gradient = [[0.5, -1.0], [2.0, 0.25]]
    before, bias = model.weight.tolist(), model.bias.tolist()
    model.weight.grad, model.bias.grad = torch.tensor(gradient).double(), torch.zeros(2).double()
    optimizer.step()
    rows = [sum(g * g for g in row) / 2 for row in gradient]
    columns = [sum(row[c] ** 2 for row in gradient) / 2 for c in range(2)]
    update = [[gradient[r][c] / math.sqrt(rows[r] * columns[c] / (sum(rows) / 2)) for c in range(2)] for r in range(2)]
    size = max(1.0, math.sqrt(sum(u * u for row in update for u in row) / 4))
    alpha = RATE * math.sqrt(sum(w * w for row in before for w in row) / 4)
    wanted = [[before[r][c] * (1 - RATE * DECAY) - alpha / size * update[r][c] for c in range(2)] for r in range(2)]
    assert model.weight.tolist() == [pytest.approx(row, rel=1e-9) for row in wanted]
    assert model.bias.tolist() == bias


def test_muon_turns_a_gradient_into_nearly_a_rotation() -> None:
    torch.manual_seed(0)
    hidden = nn.Linear(6, 4, bias=False)
    model, weight = nn.ModuleDict({"hidden": hidden}), hidden.weight
    before = weight.detach().clone()
    weight.grad = torch.randn(4, 6)
    make_optimizer(model, settings_for("muon", weight_decay=0.0)).step()
    moved = torch.linalg.svdvals((before - weight.detach()) / (RATE * 0.2 * math.sqrt(6)))
    assert float(moved.min()) > 0.5 and float(moved.max()) < 1.3


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_optimizer_goes_on_bit_equal(name: str) -> None:
    model, other = OneWeight(torch.float32), OneWeight(torch.float32)
    whole = walk(model, make_optimizer(model, settings_for(name)), GRADIENTS)
    first = make_optimizer(other, settings_for(name))
    walk(other, first, GRADIENTS[:3])
    second = make_optimizer(other, settings_for(name))
    set_optimizer_state(second, {key: value.clone() for key, value in optimizer_state(first).items()})
    rest = walk(other, second, GRADIENTS[3:])
    assert rest == {key: values[3:] for key, values in whole.items()}


def small_model(**values: Any) -> tuple[nn.Module, Recipe]:
    widths = {"embedding_width": 4, "width": 4, "dropout": 0.0, "embedding_dropout": 0.0, "word_dropout": 0.0}
    model = {**widths, "hierarchical": False, "beside": [], "words_beside": False, "ngrams": 0, "heads": 2}
    recipe = recipe_from_plain({"model": {**model, "encoder": "transformer", "layers": 2}, "optimizer": values}, "it")
    recipe = recipe.with_values({"learning_rate": RATE})
    return build_model(recipe.model, 7, 3), recipe


def test_rates_fall_from_layer_to_layer() -> None:
    model, recipe = small_model(layer_decay=0.5, embedding_rate=0.1, head_rate=3.0)
    factors = {name: group.rate_factor for group in parameter_groups(model, recipe) for name in group.names}
    assert factors["head.weight"] == factors["head.bias"] == 3.0
    assert {value for name, value in factors.items() if name.startswith("summary.")} == {1.0}
    assert {value for name, value in factors.items() if name.startswith("encoder.layers.1.")} == {0.5}
    assert factors["encoder.norm.weight"] == 0.5
    assert {value for name, value in factors.items() if name.startswith("encoder.layers.0.")} == {0.25}
    assert factors["embedding.rows.weight"] == pytest.approx(0.125 * 0.1)
    assert factors.keys() == dict(model.named_parameters()).keys()
    groups = make_optimizer(model, recipe).param_groups
    assert {group["rate_factor"] for group in groups} == set(factors.values())


def test_only_matrices_of_layers_decay() -> None:
    model, recipe = small_model()
    groups = parameter_groups(model, recipe)
    # A run that was begun before there were more groups finds its two again, in this order.
    assert [group.decayed for group in groups] == [True, False]
    shapes = {name: parameter.ndim for name, parameter in model.named_parameters()}
    decayed = {name for name, dimensions in shapes.items() if dimensions > 1} - {"embedding.rows.weight"}
    assert set(groups[0].names) == decayed and "head.weight" in decayed
    assert "encoder.layers.0.attention_norm.weight" in groups[1].names


def test_muon_leaves_embeddings_and_classifier_to_adamw() -> None:
    model, recipe = small_model(optimizer="muon", layer_decay=0.9)
    hidden = {name for group in parameter_groups(model, recipe) if group.hidden for name in group.names}
    assert "encoder.layers.0.wide.0.weight" in hidden
    assert not {name for name in hidden if name.startswith(("head", "embedding")) or name.endswith("bias")}
    optimizer = make_optimizer(model, recipe)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert len(held) == len(set(held)) == len(list(model.parameters()))


def test_a_rate_of_zero_stands_still() -> None:
    model, recipe = small_model(optimizer="muon", embedding_rate=0.0)
    optimizer = make_optimizer(model, recipe)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for group in optimizer.param_groups:
        group["lr"] = RATE * group["rate_factor"]
    optimizer.step()
    still = {name for name, value in model.named_parameters() if torch.equal(value, before[name])}
    assert still == {"embedding.rows.weight"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"momentum": 0.5}, "optimizer.momentum = 0.5 is for the optimizer sgd, rmsprop, muon"),
        ({"optimizer.optimizer": "sgd", "second_moment": 0.99}, "and the optimizer is sgd"),
        ({"optimizer.optimizer": "adafactor", "epsilon": 1e-6}, "optimizer.epsilon"),
        ({"optimizer.optimizer": "sgd", "momentum": 0.0, "nesterov": True}, "optimizer.momentum is 0"),
        ({"cycles": 3, "schedule": "linear"}, "optimizer.cycles = 3 is for the schedule cosine"),
        ({"schedule": "plateau", "decay_epochs": 2.0}, "optimizer.decay_epochs"),
        ({"plateau_patience": 3}, "for the schedule plateau, and the schedule is cosine"),
    ],
)
def test_a_field_that_nothing_reads_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace(".", r"\.")):
        check_optimization(Recipe().with_values(values))


def test_fields_that_are_read_are_not_refused() -> None:
    check_optimization(Recipe())
    check_optimization(settings_for("muon", nesterov=True, schedule="cosine", cycles=2, final_rate=0.1))
    check_optimization(settings_for("rmsprop", schedule="exponential", decay_factor=0.9, decay_epochs=2.0))
