"""What `attn plan` tells: on which kernel an operator, or each attention of a recipe, would run, and at what price."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from attnkit.attention.base import Attention
from attnkit.attention.catalogue import named
from attnkit.attention.part import Dims
from attnkit.errors import UsageError
from attnkit.kernels.native import library
from attnkit.kernels.plan import Plan, plan
from attnkit.kernels.situation import Situation
from attnkit.model.operator import operator
from attnkit.run.recipe import Recipe, load_recipe

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Sizes:
    """The call that is planned for; `keys` is `tokens` and `value_width` is `width` where not given."""

    batch: int = 1
    heads: int = 8
    key_heads: int | None = None
    tokens: int = 2048
    keys: int | None = None
    width: int = 64
    value_width: int | None = None
    dtype: str = "float32"
    train: bool = True
    dropout: bool = False
    padding: bool = False
    lengths: bool = False

    def situation(self, spec: Attention) -> Situation:
        """The situation of a call of these sizes; an operator with parameters learns them in training.

        Raises: UsageError where a size is below one, or key heads do not divide heads.
        """
        sizes = {"batch": self.batch, "heads": self.heads, "tokens": self.tokens, "width": self.width}
        for name, size in sizes.items():
            if size < 1:
                raise UsageError(f"--{name} must be at least 1; got {size}")
        key_heads = self.heads if self.key_heads is None else self.key_heads
        if key_heads < 1 or self.heads % key_heads:
            raise UsageError(f"--key-heads must divide --heads {self.heads}; got {key_heads}")
        value_width = self.width if self.value_width is None else self.value_width
        learned = spec.parameters(Dims(self.heads, self.width, value_width))
        return Situation(
            batch=self.batch,
            heads=self.heads,
            key_heads=key_heads,
            width=self.width,
            value_width=value_width,
            T=self.tokens,
            S=self.tokens if self.keys is None else self.keys,
            dtype=DTYPES[self.dtype],
            device="cpu",
            needs_grad=self.train,
            learns=self.train and bool(learned),
            intent="train" if self.train else "infer",
            dropout=self.dropout,
            keep=self.padding or self.lengths,
            query_keep=self.padding,
            lengths=self.lengths,
            documents=False,
            aligned=True,
            threads=torch.get_num_threads(),
            loops=library() is not None,
        )


@dataclass(frozen=True)
class Planned:
    """One attention, its situation and its plan."""

    name: str
    situation: Situation
    plan: Plan

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for --json."""
        return {"attention": self.name, "tokens": self.situation.T, "keys": self.situation.S, **told(self.plan)}


def told(one: Plan) -> dict[str, Any]:
    """A plan as plain data."""
    cost = one.cost and {"multiply_adds": one.cost.multiply_adds, "peak_bytes": one.cost.peak_bytes}
    passed = dict(one.passed_over)
    inner = {name: told(each) for name, each in one.inner}
    return {"kernel": one.kernel.name, "cost": cost, "passed_over": passed, "inner": inner}


def plans(target: str, sizes: Sizes, kernel: str = "auto", allow_code: bool = False) -> list[Planned]:
    """The plan of a catalogue name, or of each attention of a recipe file, whose own sizes go before `sizes`.

    Raises: UsageError where the target is neither, or a kernel that is asked for does not fit.
    """
    if target.endswith(".toml"):
        found = _of_recipe(load_recipe(Path(target)), sizes, allow_code)
    else:
        found = [(target, _named(target, allow_code), sizes)]
    made = []
    for name, spec, own in found:
        situation = own.situation(spec)
        try:
            made.append(Planned(name, situation, plan(spec, situation, kernel)))
        except ValueError as error:
            raise UsageError(str(error)) from error
    return made


def _named(target: str, allow_code: bool) -> Attention:
    try:
        return operator(target, allow_code) if ":" in target else named(target)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _of_recipe(recipe: Recipe, sizes: Sizes, allow_code: bool) -> list[tuple[str, Attention, Sizes]]:
    """The attention of the transformer layers, where there are any, and that of the pooling."""
    model = recipe.model
    tokens = recipe.tokens.max_tokens if isinstance(recipe.tokens.max_tokens, int) else sizes.tokens
    batch = recipe.train.batch_rows if isinstance(recipe.train.batch_rows, int) else sizes.batch
    width = model.width if isinstance(model.width, int) else sizes.heads * sizes.width
    own = replace(sizes, tokens=tokens, batch=batch, padding=True, dtype=recipe.train.precision)
    found = []
    if model.encoder in ("transformer", "bert"):
        layers = replace(own, heads=model.heads, width=max(1, width // model.heads))
        found.append(("model.attention", operator(model.attention, allow_code), layers))
    if isinstance(model.embedding_width, int) and model.words_beside is True:
        width += model.embedding_width
    pooling = replace(own, heads=1, width=width, tokens=model.pooling_queries, keys=tokens)
    found.append(("model.pooling", operator(model.pooling, allow_code), pooling))
    return found
