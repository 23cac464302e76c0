"""The quickstart: obtain data, train, measure, predict two texts, and draw where the model looked."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.data.starter import Starter, starter
from attnkit.page.shaded_picture import Panel, draw_panels
from attnkit.run.directory import Run, default_path
from attnkit.train.events import Event, Listener
from attnkit.train.predictor import load
from attnkit.train.shading import Shading, shading
from attnkit.train.training import train

PICTURE = "where-it-looked.png"
# By the name of the data. Attention pools the words alone: a weight then belongs to a word, and the map can be read.
SETTINGS: dict[str, dict[str, Any]] = {
    "movie-sentences": {
        "encoder": "none",
        "beside": (),
        "learning_rate": 0.003,
        "embedding_dropout": 0.5,
        "dropout": 0.4,
        "epochs": 15,
        "baselines": True,
    },
    # A pixel says little alone, so their mean stands beside what attention picks.
    "digit-patches": {
        "encoder": "none",
        "beside": ("mean",),
        "learning_rate": 0.02,
        "embedding_dropout": 0.2,
        "dropout": 0.2,
        "epochs": 20,
        "patience": 20,
        "baselines": True,
    },
}


@dataclass(frozen=True)
class Quickstart:
    """What was done: the data, the run, the two texts with where the model looked, and the picture of it."""

    data: Starter
    run: Run
    shadings: tuple[Shading, Shading]
    picture: Path


def quickstart(
    out: str | os.PathLike[str] | None = None,
    *,
    offline: bool = False,
    epochs: int | None = None,
    progress: Listener | None = None,
) -> Quickstart:
    """Do the whole job on movie sentences, or on handwritten digits where no package index answers.

    Raises: UsageError where `out` stands there already; FailedError where the cache folder cannot be used.
    """
    data = starter(offline=offline)
    for sentence in data.said:
        if progress is not None:
            progress(Event("said", {"sentence": sentence}))
    place = Path(out) if out is not None else default_path(data.name)
    settings = SETTINGS[data.name] if epochs is None else {**SETTINGS[data.name], "epochs": epochs}
    run = train(data.path, out=place, progress=progress, **settings)
    predictor = load(run)
    first, second = (shading(predictor, text) for text in data.examples)
    panels = [Panel(title(one), one.pieces) for one in (first, second)]
    return Quickstart(data, run, (first, second), draw_panels(run.path / PICTURE, panels))


def title(shaded: Shading) -> str:
    """The prediction as a line above its text."""
    sure = shaded.prediction.probability
    return f"{shaded.prediction.label}" if sure is None else f"{shaded.prediction.label} ({100 * sure:.0f} %)"
