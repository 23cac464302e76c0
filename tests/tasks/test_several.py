"""Several tasks in one: whose rows and columns are whose, and the sum of their losses by hand."""

import math

import numpy as np
import pytest
import torch

from attnkit.errors import UsageError
from attnkit.task.multi_label import MultiLabel
from attnkit.task.score import Score
from attnkit.task.several import Several
from attnkit.task.single_label import SingleLabel
from attnkit.train.balance import ByRows, Uncertainty, UpGrad, make_balance, nearest

SINGLE, MULTI, SCORE = SingleLabel(("a", "b", "c")), MultiLabel(("x", "y")), Score(2.0, 3.0)
SEVERAL = Several(("one", "two", "three"), (SINGLE, MULTI, SCORE))
TARGETS = {0: torch.tensor([2, 0]), 1: torch.tensor([[1.0, 0.0]]), 2: torch.tensor([0.5, -1.0])}
HELD = torch.cat([SEVERAL.held(k, targets) for k, targets in TARGETS.items()])


def mixed() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (5, 6) and targets in an order in which the tasks alternate."""
    logits = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([3, 0, 2, 4, 1])
    return logits[order], HELD[order]


def test_every_row_finds_its_columns_and_its_target_again() -> None:
    logits, targets = mixed()
    assert SEVERAL.outputs == 6 and [SEVERAL.span(k) for k in range(3)] == [slice(0, 3), slice(3, 5), slice(5, 6)]
    for k, rows in {0: [1, 4], 1: [2], 2: [0, 3]}.items():
        mine, own = SEVERAL.rows_of(k, logits, targets)
        assert torch.equal(mine, logits[rows][:, SEVERAL.span(k)])
        assert torch.equal(own, TARGETS[k]) and own.dtype == TARGETS[k].dtype


def losses_by_hand(logits: torch.Tensor) -> list[float]:
    """Mean losses of the three tasks over their rows of `mixed`, in plain Python."""
    z = logits.tolist()
    single = [math.log(sum(math.exp(v) for v in z[row][:3])) - z[row][c] for row, c in ((1, 2), (4, 0))]
    multi = [math.log1p(math.exp(-z[2][3])), math.log1p(math.exp(z[2][4]))]
    score = [(z[row][5] - t) ** 2 for row, t in ((0, 0.5), (3, -1.0))]
    return [sum(part) / len(part) for part in (single, multi, score)]


def test_the_loss_is_the_mean_over_rows() -> None:
    logits, targets = mixed()
    a, b, c = losses_by_hand(logits)
    assert float(SEVERAL.loss(logits, targets)) == pytest.approx((2 * a + b + 2 * c) / 5, rel=1e-6)
    balanced = Several(SEVERAL.names, SEVERAL.tasks, ByRows((20, 10, 20), 1.0))
    assert balanced.loss(logits.requires_grad_(), targets).item() == pytest.approx((2 * a + b + 2 * c) / 5, rel=1e-6)


def test_a_temperature_lets_small_tasks_weigh_more() -> None:
    logits, targets = mixed()
    losses = losses_by_hand(logits)
    sizes = (900, 90, 10)
    chances = [size**0.5 / sum(other**0.5 for other in sizes) for size in sizes]
    weights = [chance / (size / 1000) for chance, size in zip(chances, sizes, strict=True)]
    wanted = sum(w * n / 5 * loss for w, n, loss in zip(weights, (2, 1, 2), losses, strict=True))
    several = Several(SEVERAL.names, SEVERAL.tasks, ByRows(sizes, 2.0))
    assert several.loss(logits.requires_grad_(), targets).item() == pytest.approx(wanted, rel=1e-6)
    # A measure without a gradient is the plain mean.
    assert float(several.loss(logits.detach(), targets)) == pytest.approx(float(SEVERAL.loss(logits.detach(), targets)))


def test_uncertainty_is_equation_10() -> None:
    logits, targets = mixed()
    losses = losses_by_hand(logits)
    balance = Uncertainty([task.kind for task in SEVERAL.tasks])
    sigmas = (0.5, 2.0, 3.0)
    with torch.no_grad():
        balance.log_variance_K.copy_(torch.tensor([2 * math.log(sigma) for sigma in sigmas]))
    wanted = losses[0] / 0.5**2 + losses[1] / 2.0**2 + losses[2] / (2 * 3.0**2) + sum(math.log(s) for s in sigmas)
    several = Several(SEVERAL.names, SEVERAL.tasks, balance)
    loss = several.loss(logits.requires_grad_(), targets)
    assert loss.item() == pytest.approx(wanted, rel=1e-5)
    loss.backward()
    assert balance.log_variance_K.grad is not None and float(balance.log_variance_K.grad.abs().min()) > 0


def upgrad_step(first: list[float], second: list[float]) -> list[float]:
    """The gradient of two losses with these gradients, once balanced."""
    pytest.importorskip("torchjd")
    weights = torch.nn.Linear(2, 1, bias=False)
    loss = {k: (weights.weight[0] * torch.tensor(g)).sum() for k, g in enumerate((first, second))}
    UpGrad(weights)(loss, {0: 1, 1: 1}).backward()
    assert weights.weight.grad is not None
    return weights.weight.grad[0].tolist()


def test_upgrad_harms_no_task() -> None:
    # Each is projected onto the other's half plane: (1, 0) to (0.2, 0.4), (-2, 1) to (0, 1); their mean is the step.
    found = upgrad_step([1.0, 0.0], [-2.0, 1.0])
    assert found == pytest.approx([0.1, 0.7], abs=1e-6)
    assert found[0] >= -1e-9 and -2 * found[0] + found[1] >= -1e-9
    # Without a conflict it is the mean of the gradients.
    assert upgrad_step([1.0, 0.0], [0.5, 1.0]) == pytest.approx([0.75, 0.5], abs=1e-6)


def test_weights_of_conflicting_gradients_are_the_least_that_hold() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        gradients = draw.normal(size=(4, 6))
        gramian, u = gradients @ gradients.T, draw.random(4)
        v = nearest(u, gramian)
        # Stationary, feasible and complementary: the conditions under which a convex problem is solved.
        pull = gramian @ v
        assert (v >= u - 1e-9).all() and (pull >= -1e-9).all() and np.allclose(pull * (v - u), 0, atol=1e-9)


def test_the_main_task_is_what_is_judged() -> None:
    logits, targets = mixed()
    rows, own = SEVERAL.rows_of(0, logits, targets)
    assert SEVERAL.select == SINGLE.select and SEVERAL.classes == SINGLE.classes
    assert SEVERAL.selection_value(logits, targets) == SINGLE.selection_value(rows, own)
    assert SEVERAL.measure(logits, targets).keys() == SINGLE.measure(rows, own).keys()
    assert SEVERAL.predict(logits) == SINGLE.predict(logits[:, :3])


def test_class_weights_stand_side_by_side_and_scores_have_none() -> None:
    both = Several(("one", "two"), (SINGLE, MULTI))
    targets = torch.cat([both.held(0, torch.tensor([0, 0, 1, 2])), both.held(1, torch.tensor([[1.0, 0], [0, 0]]))])
    wanted = [*SINGLE.class_weights(torch.tensor([0, 0, 1, 2])), *MULTI.class_weights(torch.tensor([[1.0, 0], [0, 0]]))]
    assert both.class_weights(targets).tolist() == pytest.approx([float(weight) for weight in wanted])
    with pytest.raises(UsageError, match="score"):
        SEVERAL.class_weights(HELD)


def test_a_temperature_needs_the_balance_that_reads_it() -> None:
    with pytest.raises(UsageError, match="task_temperature = 2"):
        make_balance("uncertainty", 2.0, torch.nn.Linear(1, 1), ["single", "single"], [1, 1])
