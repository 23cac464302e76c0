"""AdamW, the learning rate over a run, and averaged weights."""

import math

import torch
from torch import Tensor, nn

from attnkit.model.settings import chosen
from attnkit.run.recipe import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices of layers alone: not on biases, norms or embeddings."""
    tables = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    decayed = [p for p in model.parameters() if p.ndim > 1 and p not in tables]
    plain = [p for p in model.parameters() if p.ndim <= 1 or p in tables]
    groups = [{"params": decayed, "weight_decay": recipe.train.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=chosen(recipe.train.learning_rate), betas=(0.9, 0.999), fused=True)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Rate of step 0..steps-1: a linear rise over the warm-up, then constant, or linear or cosine to zero."""
    settings = recipe.train
    highest, warmup = chosen(settings.learning_rate), min(chosen(settings.warmup_steps), steps)
    if step < warmup:
        return highest * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    match settings.schedule:
        case "linear":
            return highest * (1 - share)
        case "cosine":
            return highest * (1 + math.cos(math.pi * share)) / 2
    return highest


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors by "number of the parameter/name"."""
    held = optimizer.state_dict()["state"]
    return {f"{number}/{name}": value for number, state in held.items() for name, value in state.items()}


def set_optimizer_state(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_state` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split("/")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def average_into(average: dict[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """average = d average + (1 - d) weights, with d = min(decay, (1 + step) / (10 + step)) to start quickly."""
    rate = 1 - min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, rate)
            else:
                average[name].copy_(value)
