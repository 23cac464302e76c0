"""Where numbers stop being numbers: the first layer that turns finite inputs into infinities or NaN."""

from typing import Any

import torch
from torch import Tensor, nn


def first_bad_layer(model: nn.Module, *inputs: Any) -> str:
    """One clause that names the first layer whose weights or outputs are not finite on these inputs."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"the weights {name} are not finite"
    found: list[str] = []

    def watch(name: str) -> Any:
        def look(module: nn.Module, given: Any, out: Any) -> None:
            if not found and any(not torch.isfinite(x).all() for x in _floats(out)):
                found.append(f"{name} ({type(module).__name__})")

        return look

    # Children finish before the module that holds them, so the first to complain is the innermost.
    hooks = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name]
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return f"the first layer with a non-finite output is {found[0]}" if found else "every layer's output is finite"


def _floats(out: Any) -> list[Tensor]:
    if isinstance(out, Tensor):
        return [out] if out.is_floating_point() else []
    return [x for item in out for x in _floats(item)] if isinstance(out, (tuple, list)) else []
