"""What do schedules and optimizers do? Draws each of them with the code that trains.

    python -m benches.draw_training

Writes docs/training/*.png: every schedule over 400 steps, and the path of every optimizer in a narrow valley of two
weights, each at the best of eight rates by the loss after 60 steps.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from attnkit.run.recipe import Recipe
from attnkit.train.optimizers import READS as OPTIMIZERS
from attnkit.train.optimizers import make_optimizer
from attnkit.train.schedules import READS as SCHEDULES
from attnkit.train.schedules import learning_rate

OUT = Path(__file__).parents[1] / "docs" / "training"
STEPS, EPOCH, WARMUP = 400, 40, 40
MOVES, BEGIN = 60, (-1.6, 1.2)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
# What each schedule is drawn with, beside its defaults.
SHOWN: dict[str, list[dict[str, Any]]] = {
    "step": [{"decay_epochs": 2.0}, {"decay_epochs": 1.0, "decay_factor": 0.7}],
    "exponential": [{"decay_epochs": 2.0}, {"decay_epochs": 1.0}],
    "cosine": [{}, {"cycles": 3, "final_rate": 0.1}],
    "linear": [{}, {"final_rate": 0.3}],
    "one_cycle": [{"warmup_steps": 120}],
    "plateau": [{}, {"plateau_patience": 0, "decay_factor": 0.7}],
}
# Evaluations, one an epoch: was it the best so far?
BETTER = (True, True, False, True, False, False, True, False, False, False)


def rates(schedule: str, values: dict[str, Any]) -> list[float]:
    """The learning rate of each step; a plateau hears of an evaluation after every epoch."""
    recipe = Recipe().with_values({"learning_rate": 1.0, "warmup_steps": WARMUP, "schedule": schedule, **values})
    return [learning_rate(recipe, step, STEPS, EPOCH, BETTER[: step // EPOCH]) for step in range(STEPS)]


def draw_schedules() -> None:
    """One panel a schedule."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    panels = figure.subplots(2, 4, sharex=True, sharey=True)
    for axes, schedule in zip(panels.flat, SCHEDULES, strict=True):
        for values in SHOWN.get(schedule, [{}]):
            label = ", ".join(f"{name} {value:g}" for name, value in values.items()) or "as it is"
            axes.plot(rates(schedule, values), label=label, linewidth=1.6)
        axes.set_title(schedule, fontsize=11)
        axes.legend(fontsize=7, frameon=False, loc="upper right")
        axes.set_ylim(0, 1.32)
        axes.set_yticks([0, 0.5, 1])
    for axes in panels[1]:
        axes.set_xlabel("step")
    for axes in panels[:, 0]:
        axes.set_ylabel("share of the highest rate")
    figure.savefig(OUT / "schedules.png", dpi=110)


class Valley(nn.Module):
    """Two weights as a matrix of one row, and a loss that is steep across and flat along a bent valley."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1, bias=False).double()
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([BEGIN]))

    def loss(self) -> Tensor:
        """L = (1 - x)^2 / 4 + 4 (y - x^2 / 2)^2, least at (1, 1/2)."""
        x, y = self.layer.weight[0]
        return (1 - x) ** 2 / 4 + 4 * (y - x**2 / 2) ** 2


def walk(optimizer: str, rate: float, values: dict[str, Any]) -> tuple[np.ndarray, float]:
    """The places of the weights, (moves + 1, 2), and the last loss."""
    model = Valley()
    recipe = Recipe().with_values({"optimizer": optimizer, "learning_rate": rate, "weight_decay": 0.0, **values})
    moved = make_optimizer(model, recipe)
    places = [model.layer.weight.detach()[0].tolist()]
    for _ in range(MOVES):
        moved.zero_grad()
        model.loss().backward()
        moved.step()
        places.append(model.layer.weight.detach()[0].tolist())
    last = float(model.loss().detach())
    return np.array(places), last if math.isfinite(last) else math.inf


def draw_walk(axes: Axes, title: str, optimizer: str, values: dict[str, Any]) -> None:
    """The path at the best of the rates, over the lines of equal loss."""
    tried = {rate: walk(optimizer, rate, values) for rate in RATES}
    best = min(tried, key=lambda rate: tried[rate][1])
    places, last = tried[best]
    x, y = np.meshgrid(np.linspace(-2, 2, 200), np.linspace(-1, 2.2, 200))
    loss = (1 - x) ** 2 / 4 + 4 * (y - x**2 / 2) ** 2
    axes.contour(x, y, loss, levels=np.geomspace(0.02, 30, 12), colors="0.8", linewidths=0.7)
    axes.plot(places[:, 0], places[:, 1], "-o", markersize=2.2, linewidth=1.0, color="tab:blue")
    axes.plot(*BEGIN, "s", color="tab:orange", markersize=5)
    axes.plot(1, 0.5, "*", color="tab:red", markersize=9)
    axes.set_title(f"{title}\nrate {best:g}, loss {last:.1e}", fontsize=9)
    axes.set_xlim(-2, 2)
    axes.set_ylim(-1, 2.2)
    axes.set_xticks([])
    axes.set_yticks([])


def draw_optimizers() -> None:
    """One panel an optimizer, sgd with and without its momentum."""
    cases = [(name, name, dict[str, Any]()) for name in OPTIMIZERS if name != "sgd"]
    cases += [
        ("sgd, momentum 0", "sgd", {"momentum": 0.0}),
        ("sgd, momentum 0.9", "sgd", {}),
        ("sgd, nesterov", "sgd", {"nesterov": True}),
    ]
    figure = Figure(figsize=(11, 8), layout="constrained")
    panels = figure.subplots(3, 5)
    for axes, (title, optimizer, values) in zip(panels.flat, cases, strict=False):
        draw_walk(axes, title, optimizer, values)
    for axes in panels.flat[len(cases) :]:
        axes.set_axis_off()
    figure.savefig(OUT / "optimizers.png", dpi=110)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    draw_schedules()
    draw_optimizers()
