"""Fit attention to your data: build any attention, train it, tune it, see where it looks, and hold it to its laws.

Every public name is fetched on first use, so that `import attnkit` costs next to nothing, and the names of
attention, kernels and layers need torch and numpy alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnkit.attention.catalogue import CATALOGUE as CATALOGUE
    from attnkit.attention.catalogue import named as named
    from attnkit.attention.combine import Mixture as Mixture
    from attnkit.attention.combine import Sum as Sum
    from attnkit.attention.combine import Then as Then
    from attnkit.attention.describe import describe as describe
    from attnkit.attention.heads import HeadLayout as HeadLayout
    from attnkit.attention.laws import check_attention as check_attention
    from attnkit.attention.laws import check_normalizer as check_normalizer
    from attnkit.attention.pairwise import Pairwise as Pairwise
    from attnkit.attention.part import Dims as Dims
    from attnkit.attention.part import init_params as init_params
    from attnkit.attention.plain import from_plain as from_plain
    from attnkit.attention.plain import to_plain as to_plain
    from attnkit.attention.where import Where as Where
    from attnkit.capture import Capture as Capture
    from attnkit.capture import capture as capture
    from attnkit.capture import capture_arrays as capture_arrays
    from attnkit.capture import diff_captures as diff_captures
    from attnkit.capture import load_capture as load_capture
    from attnkit.capture import save_capture as save_capture
    from attnkit.data.readers import read as read
    from attnkit.data.schema import infer_schema as infer_schema
    from attnkit.errors import FailedError as FailedError
    from attnkit.errors import UsageError as UsageError
    from attnkit.kernels.attend import attend as attend
    from attnkit.kernels.plan import plan as plan
    from attnkit.kernels.situation import Situation as Situation
    from attnkit.layers import AttentionLayer as AttentionLayer
    from attnkit.layers import AttentionPooling as AttentionPooling
    from attnkit.layers import tapped as tapped
    from attnkit.layers.transformers import register as register
    from attnkit.run.directory import Run as Run
    from attnkit.run.recipe import Recipe as Recipe
    from attnkit.run.recipe import dump_recipe as dump_recipe
    from attnkit.run.recipe import load_recipe as load_recipe
    from attnkit.train import evaluate as evaluate
    from attnkit.train import load as load
    from attnkit.train import train as train
    from attnkit.tune import tune as tune

__version__ = "0.1.0"

_HOME = {
    # what attention is
    "CATALOGUE": "attnkit.attention.catalogue",
    "Dims": "attnkit.attention.part",
    "HeadLayout": "attnkit.attention.heads",
    "init_params": "attnkit.attention.part",
    "Mixture": "attnkit.attention.combine",
    "Pairwise": "attnkit.attention.pairwise",
    "Sum": "attnkit.attention.combine",
    "Then": "attnkit.attention.combine",
    "Where": "attnkit.attention.where",
    "check_attention": "attnkit.attention.laws",
    "check_normalizer": "attnkit.attention.laws",
    "describe": "attnkit.attention.describe",
    "from_plain": "attnkit.attention.plain",
    "named": "attnkit.attention.catalogue",
    "to_plain": "attnkit.attention.plain",
    # the same numbers, sooner
    "Situation": "attnkit.kernels.situation",
    "attend": "attnkit.kernels.attend",
    "plan": "attnkit.kernels.plan",
    # modules
    "AttentionLayer": "attnkit.layers",
    "AttentionPooling": "attnkit.layers",
    "tapped": "attnkit.layers",
    "register": "attnkit.layers.transformers",
    # what attention did
    "Capture": "attnkit.capture",
    "capture": "attnkit.capture",
    "capture_arrays": "attnkit.capture",
    "diff_captures": "attnkit.capture",
    "load_capture": "attnkit.capture",
    "save_capture": "attnkit.capture",
    # files to batches
    "infer_schema": "attnkit.data.schema",
    "read": "attnkit.data.readers",
    # the record
    "Recipe": "attnkit.run.recipe",
    "Run": "attnkit.run.directory",
    "dump_recipe": "attnkit.run.recipe",
    "load_recipe": "attnkit.run.recipe",
    # the verbs
    "evaluate": "attnkit.train",
    "load": "attnkit.train",
    "train": "attnkit.train",
    "tune": "attnkit.tune",
    # how it can end badly
    "FailedError": "attnkit.errors",
    "UsageError": "attnkit.errors",
}

__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(_HOME[name])
    # The package attnkit.train answers calls itself, since its name is also the verb's.
    value = home if home.__name__ == f"{__name__}.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
