"""The [tune] section of a recipe: which settings are tried, how they are chosen, and what a trial is measured by."""

from typing import Any, Literal

from pydantic import Field

from attnkit.model.settings import Section


class TuneSettings(Section):
    """What `attn tune` searches, and within which limits; training itself reads none of it."""

    space: dict[str, Any] = Field(
        default_factory=dict,
        description='what is searched: a field of the recipe and its values, as a list ("model.encoder" = '
        '["cnn", "bilstm"]) or a range ("train.learning_rate" = {low = 1e-4, high = 1e-2, log = true}); empty: chosen',
    )
    sampler: Literal["bayesian", "gp", "random", "grid"] = Field(
        "bayesian",
        description="what chooses the next setting: a tree-structured Parzen estimator (bayesian), a Gaussian process "
        "(gp), chance, or every point of a grid",
    )
    pruner: Literal["median", "halving", "none"] = Field(
        "median",
        description="which trials are stopped early: those below the median of others at the same point, all but the "
        "best third at each rung (successive halving), or none",
    )
    trials: int = Field(0, ge=0, le=100_000, description="settings tried (0: what the time allows, or 20)")
    tune_minutes: float = Field(
        0.0, ge=0, le=1_000_000, description="wall time of the whole study in minutes (0: as long as it takes)"
    )
    tune_folds: int = Field(
        0,
        ge=0,
        le=100,
        description="measure each setting in this many folds of all rows but the test rows (0: on the validation rows)",
    )
    tune_seeds: int = Field(1, ge=1, le=100, description="trainings of each setting, whose figures are averaged")
    sampler_seed: int = Field(0, ge=0, lt=2**31, description="seed of the choice of settings")
    retries: int = Field(1, ge=0, le=100, description="times that a trial is begun anew whose worker was lost")
    lease_seconds: float = Field(
        60.0, ge=1, le=86_400, description="silence after which a worker on another machine counts as lost, in seconds"
    )
