"""Which choices mattered: how much of the spread of the figures each field explains."""

from typing import Any

from attnkit.tune.library import optuna
from attnkit.tune.search import Search

FEWEST = 8


def importances(search: Search) -> dict[str, Any] | None:
    """The share of each field in the variance that a forest of trees explains, largest first; shares add up to one.

    None where fewer than 8 settings are complete, or all figures are equal.

    Source: Hutter, Hoos & Leyton-Brown 2014, section 4 (functional analysis of variance).
    """
    library = optuna()
    done = search.study.get_trials(deepcopy=False, states=(library.trial.TrialState.COMPLETE,))
    if len(done) < FEWEST or len({trial.value for trial in done}) < 2:
        return None
    names = [name for name in search.plan.space.axes if len({repr(trial.params[name]) for trial in done}) > 1]
    if not names:
        return None
    evaluator = library.importance.FanovaImportanceEvaluator(seed=0)
    try:
        shares = library.importance.get_param_importances(search.study, evaluator=evaluator, params=names)
    except (RuntimeError, ValueError):
        # A forest that splits nowhere explains nothing.
        return None
    return {"shares": {name: float(share) for name, share in shares.items()}, "trials": len(done)}
